"""How long it takes from the call of start_test until the target has the first request.

Each round is an interpreter of its own that has imported `start_test` and calls it: one user, one pass. The times are those of one
clock (CLOCK_BOOTTIME) in both processes: the call, the start of the engine process (the kernel's, to 10 ms), and the moment the
first bytes of the request have arrived here.

    python -m benchmarks.first_hit [--rounds 9] [--engines native locust] [--write]
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.results import publish, table
from loadflow.engine.process.launch import MODULES

CHILD = """
import sys, time
from loadflow.engine.load.start import start_test
from loadflow.engine.session.session import Session, use_session

url, folder, engine = sys.argv[1:]
with use_session(Session(runs_dir=folder)):
    print(time.clock_gettime(time.CLOCK_BOOTTIME), flush=True)
    start_test({"user": "fast_http_user", "engine": engine}, user_count=1, spawn_rate=1000, iterations=1,
               tasks=[{"method": "get", "request_url": url, "assertions": [{"type": "status_code", "value": 200}]}])
"""
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
WAIT_S = 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--engines", nargs="+", choices=MODULES, default=list(MODULES))
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    options = parser.parse_args()
    for engine in options.engines:
        measure(engine)  # writes the bytecode that an installed package has
    found: dict[str, list[tuple[float, float]]] = {engine: [] for engine in options.engines}
    for number in range(options.rounds):
        for engine in options.engines:
            found[engine].append(measure(engine))
            print(f"round {number + 1}: {engine}: {found[engine][-1]} ms", flush=True)
    rows = [
        [engine, words([from_call for from_call, _ in times]), words([from_engine for _, from_engine in times])]
        for engine, times in found.items()
    ]
    heads = ["engine", "from the call of start_test, ms", "from the start of the engine process, ms"]
    loads = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    text = (
        f"{table(heads, rows)}\n\nMedian of {options.rounds} (least to most). Load averages at the end, over 1, 5 and 15 minutes: {loads}."
    )
    publish("Time to the first hit", f"python -m benchmarks.first_hit --rounds {options.rounds}", text, write=options.write)


def words(times_ms: list[float]) -> str:
    return f"{statistics.median(times_ms):.0f} ({min(times_ms):.0f} to {max(times_ms):.0f})"


def measure(engine: str) -> tuple[float, float]:
    """Milliseconds to the first request, from the call and from the start of the engine process."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(WAIT_S)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        command = [sys.executable, "-c", CHILD, url, folder, engine]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
            peer, _ = server.accept()
            with peer:
                peer.recv(65_536)
                hit_s = time.clock_gettime(time.CLOCK_BOOTTIME)
                began_s = engine_began_s(child.pid, MODULES[engine])
                peer.sendall(ANSWER)
            assert child.stdout is not None
            called_s = float(child.stdout.readline())
        if child.returncode:
            raise SystemExit(f"a round on {engine} ended with {child.returncode}")
    return round((hit_s - called_s) * 1e3, 1), round((hit_s - began_s) * 1e3, 1)


def engine_began_s(pid: int, module: str) -> float:
    """By CLOCK_BOOTTIME, proc_pid_stat(5)."""
    worker = next(one for one in psutil.Process(pid).children(recursive=True) if module in one.cmdline())
    fields = Path(f"/proc/{worker.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
