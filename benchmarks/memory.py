"""Memory of the engine and of the parent while hits add up: it must not grow with their number.

One run against nginx, stopped once enough hits are recorded. The resident set and its peak (VmRSS and VmHWM, from the kernel) of
both processes are noted as each mark is passed.

    python -m benchmarks.memory [--engine locust] [--users 50] [--marks 1000000 10000000] [--write]
    python -m benchmarks.memory --engine native --users 1000 [--write]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from typing import Any

from benchmarks.nginx import Nginx
from benchmarks.results import publish, table

CHILD = """
import json, os, sys
import psutil
from loadflow.engine.process.launch import MODULES
from loadflow.engine.load.start import start_test
from loadflow.engine.session.session import Observer, Session, use_session
from loadflow.errors import Interrupted

# what `start_test` is given, the folder of its runs, and after how many hits to look
asked, folder, *marks = sys.argv[1:]
asked, marks = json.loads(asked), [int(mark) for mark in marks]
engine = asked["user_detail_dict"]["engine"]

def memory_mib(pid):
    with open(f"/proc/{pid}/status") as status:
        found = dict(line.split(":", 1) for line in status)
    return [int(found[key].split()[0]) / 1024 for key in ("VmRSS", "VmHWM")]

class Watch(Observer):
    hits = 0
    def snapshot(self, run, snapshot):
        self.hits += snapshot.delta.hits
        if not marks or self.hits < marks[0]:
            return
        while marks and self.hits >= marks[0]:
            marks.pop(0)
        worker = next(p for p in psutil.Process().children(recursive=True) if MODULES[engine] in p.cmdline())
        print(json.dumps({"hits": self.hits, "engine": memory_mib(worker.pid), "parent": memory_mib(os.getpid())}), flush=True)
    def stop_requested(self):
        return "" if marks else "enough hits"

with use_session(Session(runs_dir=folder, observers=[Watch()])):
    try:
        start_test(**asked, spawn_rate=1000, test_time=None)
    except Interrupted:
        pass
"""
TITLES = {"locust": "Memory of engine and parent", "native": "Memory of engine and parent: the native core"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--engine", choices=TITLES, default="locust")
    parser.add_argument("--users", type=int, default=50, help="each has a connection of his own")
    parser.add_argument("--marks", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    options = parser.parse_args()
    started = time.monotonic()
    with Nginx() as nginx:
        step = {"method": "get", "request_url": nginx.url, "assertions": [{"type": "status_code", "value": 200}]}
        user = {"user": "fast_http_user", "engine": options.engine}
        columns = memory_mib({"user_detail_dict": user, "user_count": options.users, "tasks": [step]}, options.marks)
    rows = [[f"{hits:,}", *(f"{mib:.1f}" for mib in sizes)] for hits, *sizes in columns]
    rows.append(["growth", *(f"{last - first:.1f}" for first, last in zip(columns[0][1:], columns[-1][1:], strict=True))])
    heads = ["hits recorded", "engine, MiB", "its peak", "parent, MiB", "its peak"]
    marks = " ".join(map(str, options.marks))
    command = f"python -m benchmarks.memory --engine {options.engine} --users {options.users} --marks {marks}"
    publish(
        TITLES[options.engine], command, f"{table(heads, rows)}\n\nThe run took {time.monotonic() - started:.0f} s.", write=options.write
    )


def memory_mib(asked: dict[str, Any], marks: list[int], cwd: str | None = None) -> list[list[float]]:
    """A load of `start_test(**asked)` until the last mark: hits, then now and most of the engine, then of the parent, for each mark."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["taskset", "-c", "0", sys.executable, "-c", CHILD, json.dumps(asked), folder, *map(str, marks)]
        output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=cwd)
    found = [json.loads(line) for line in output.stdout.splitlines()]
    return [[one["hits"], *one["engine"], *one["parent"]] for one in found]


if __name__ == "__main__":
    main()
