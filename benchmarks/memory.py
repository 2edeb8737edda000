"""Peak memory of the engine and of the parent while hits add up: it must not grow with their number.

One run of `fast_http_user` against nginx, stopped once enough hits are recorded; the peak resident set (VmHWM, from the
kernel) of both processes is noted when the first mark is passed and at the end.

    python -m benchmarks.memory [--marks 1000000 10000000] [--write]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time

from benchmarks.nginx import Nginx
from benchmarks.results import publish, table

CHILD = """
import json, os, sys
import psutil
from loadflow.engine.load.start import start_test
from loadflow.engine.session import Observer, Session, use_session
from loadflow.errors import Interrupted

url, folder, *marks = sys.argv[1:]
marks = [int(mark) for mark in marks]

def peak_mb(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))

class Watch(Observer):
    hits = 0
    def snapshot(self, run, snapshot):
        self.hits += snapshot.delta.hits
        while marks and self.hits >= marks[0]:
            marks.pop(0)
            engine = next(p for p in psutil.Process().children(recursive=True) if "load.worker" in " ".join(p.cmdline()))
            print(json.dumps({"hits": self.hits, "engine_mb": peak_mb(engine.pid), "parent_mb": peak_mb(os.getpid())}), flush=True)
    def stop_requested(self):
        return "" if marks else "enough hits"

with use_session(Session(runs_dir=folder, observers=[Watch()])):
    try:
        start_test({"user": "fast_http_user"}, user_count=50, spawn_rate=1000, test_time=None,
                   tasks=[{"method": "get", "request_url": url, "assertions": [{"type": "status_code", "value": 200}]}])
    except Interrupted:
        pass
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--marks", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, Nginx() as nginx:
        command = ["taskset", "-c", "0", sys.executable, "-c", CHILD, nginx.url, folder, *map(str, options.marks)]
        output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    import json

    found = [json.loads(line) for line in output.splitlines()]
    rows = [[f"{one['hits']:,}", f"{one['engine_mb']:.1f}", f"{one['parent_mb']:.1f}"] for one in found]
    first, last = found[0], found[-1]
    rows.append(["growth", f"{last['engine_mb'] - first['engine_mb']:.1f}", f"{last['parent_mb'] - first['parent_mb']:.1f}"])
    text = table(["hits recorded", "engine, peak MB", "parent, peak MB"], rows) + f"\n\nThe run took {time.monotonic() - started:.0f} s."
    publish(
        "Memory of engine and parent", f"python -m benchmarks.memory --marks {' '.join(map(str, options.marks))}", text, write=options.write
    )


if __name__ == "__main__":
    main()
