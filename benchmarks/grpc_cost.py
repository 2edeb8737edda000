"""gRPC calls per CPU second of the generator: loadflow on both engines, ghz, and plain grpcio in threads.

    python -m benchmarks.grpc_cost [--rounds 3] [--seconds 6] [--users 50] [--write]

Tools take turns on core 0, and call one server on core 1, grpcio's own, which bounds what all of them can make in a second; so what is
compared is the processor time that a call takes them. Each tool runs twice in a round, for a third of the time and for all of it: what
the longer run has more in calls (by the server's count) and in CPU time (all of the tool's processes) leaves out starts and ends.
ghz (`go install github.com/bojand/ghz/cmd/ghz@latest`) is looked for in PATH and in ~/go/bin; once it has one connection, its default,
and once one for each user, as the others have.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import psutil

from benchmarks.protocol_subjects import SUBJECTS
from benchmarks.protocols import LOADFLOW, PLAIN, Server, serving
from benchmarks.results import publish, table

SUBJECT = SUBJECTS["grpc"]
CORE = ["taskset", "-c", "0"]


def main() -> None:
    options = _options()
    subject = replace(SUBJECT, users=options.users)
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder, serving(subject, folder) as server:
        for name, text in subject.files.items():
            (Path(folder) / name).write_text(text)
        for _ in range(options.rounds):
            for name, command in _tools(server.port, options.users).items():
                found.setdefault(name, []).append(_calls_per_cpu_s(server, command, options.seconds, folder))
                print(name, f"{found[name][-1]:,.0f}", flush=True)
    medians = {name: statistics.median(values) for name, values in found.items()}
    best = medians["loadflow, native core"]
    rows = [
        [name, f"{medians[name]:,.0f} ({min(values):,.0f} to {max(values):,.0f})", f"{best / medians[name]:.1f}"]
        for name, values in found.items()
    ]
    text = table(["tool", "calls per CPU second", "the core makes so many times as many"], rows)
    publish(f"gRPC: what a call costs, {options.users} users", "python -m benchmarks.grpc_cost", text, write=options.write)


def _tools(port: int, users: int) -> Mapping[str, list[str]]:
    """Commands, which take the seconds in the place of `SECONDS`."""
    target = f"127.0.0.1:{port}"
    own = [sys.executable, "-c", LOADFLOW, SUBJECT.user, json.dumps(SUBJECT.step), target, "SECONDS", str(users)]
    found = {"loadflow, native core": [*own, "native"], "loadflow, Locust": [*own, "locust"]}
    ghz = shutil.which("ghz") or shutil.which("ghz", path=str(Path.home() / "go" / "bin"))
    if ghz is not None:
        call = [ghz, "--insecure", "--proto", "bench.proto", "--call", "bench.Bench/Fast", "-d", '{"text": "hello"}', "-c", str(users)]
        found["ghz, one connection"] = [*call, "-z", "SECONDSs", target]
        found[f"ghz, {users} connections"] = [*call, "--connections", str(users), "-z", "SECONDSs", target]
    found["grpcio in threads"] = [sys.executable, "-c", PLAIN % (SUBJECT.setup, SUBJECT.plain), target, "SECONDS", str(users)]
    return found


def _calls_per_cpu_s(server: Server, command: list[str], seconds: float, folder: str) -> float:
    (few, less_s), (many, more_s) = (_run(server, command, one, folder) for one in (seconds / 3, seconds))
    return (many - few) / (more_s - less_s)


def _run(server: Server, command: list[str], seconds: float, folder: str) -> tuple[int, float]:
    """Calls that the server answered, and CPU seconds of the tool."""
    given = [one.replace("SECONDS", f"{seconds:g}") for one in command]
    before = server.answered()
    spent: dict[int, float] = {}
    with subprocess.Popen([*CORE, *given], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder) as process:
        tool = psutil.Process(process.pid)
        while process.poll() is None:
            for one in [tool, *_children(tool)]:
                try:
                    times = one.cpu_times()
                except psutil.NoSuchProcess:
                    continue
                spent[one.pid] = times.user + times.system
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
    if process.returncode:
        sys.exit(f"{given[0]} ended with status {process.returncode}")
    return server.answered() - before, sum(spent.values())


def _children(tool: psutil.Process) -> list[psutil.Process]:
    try:
        return tool.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0, help="of the longer run of each tool")
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    main()
