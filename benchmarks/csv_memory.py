"""How much memory the rows of a CSV source take: in the native core, and in Python as Locust's engine keeps them.

    python -m benchmarks.csv_memory [--megabytes 32] [--write]

A process of its own reads a file of so many megabytes whole, after it has read a small one. `held` is what it then has more than before;
`at most` includes what it had meanwhile. Files differ in what a row is: one letter, a number that no other row has, a name and an address.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.results import publish, table

READ = """
import gc, json, sys
from loadflow import _native
from loadflow.engine.plan.csv_source import CsvSource
from loadflow.engine.resolve.data import load_rows, read_table

def read(path):
    source = CsvSource("rows", path)
    return read_table(source, _native.CsvTable) if sys.argv[1] == "core" else load_rows(source)

def kib(what):
    return int(open("/proc/self/status").read().split(what)[1].split()[0])

read(sys.argv[2])
gc.collect()
open("/proc/self/clear_refs", "w").write("5")  # the peak begins here
before = kib("VmRSS:")
kept = read(sys.argv[3])
gc.collect()
print(json.dumps({"held": kib("VmRSS:") - before, "peak": kib("VmHWM:") - before}))
"""
FILES: dict[str, Callable[[int], str]] = {
    "one letter": lambda number: "abcdefgh"[number % 8],
    "a number of its own": lambda number: f"{number:07}",
    "a name and an address": lambda number: f"user{number:07},user{number:07}@shop.example",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--megabytes", type=float, default=32)
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    asked = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for what, row in FILES.items():
            path, small = Path(folder) / "rows.csv", Path(folder) / "small.csv"
            size, count = write(path, row, asked.megabytes * 1e6)
            write(small, row, 10_000)
            found = {}
            for where in ("core", "python"):
                done = subprocess.run(
                    [sys.executable, "-c", READ, where, str(small), str(path)], capture_output=True, text=True, check=True
                )
                found[where] = {key: kib * 1024 / size for key, kib in json.loads(done.stdout).items()}
            core, python = found["core"], found["python"]
            rows.append(
                [what, f"{count:,}", f"{core['held']:.1f}", f"{core['peak']:.1f}", f"{python['held']:.1f}", f"{python['peak']:.1f}"]
            )
    heads = ["a row is", "rows", "core: held", "core: at most", "Python: held", "Python: at most"]
    text = f"{table(heads, rows)}\n\nTimes the size of the file, which has {asked.megabytes:g} MB."
    publish("Memory of CSV sources", f"python -m benchmarks.csv_memory --megabytes {asked.megabytes:g}", text, write=asked.write)


def write(path: Path, row: Callable[[int], str], size: float) -> tuple[int, int]:
    """Bytes and rows of a file of about `size` bytes."""
    count = int(size / (len(row(0)) + 1))
    columns = ",".join(f"column{number}" for number, _ in enumerate(row(0).split(",")))
    with path.open("w", encoding="utf-8") as lines:
        lines.write(f"{columns}\n")
        lines.writelines(f"{row(number)}\n" for number in range(count))
    return path.stat().st_size, count


if __name__ == "__main__":
    main()
