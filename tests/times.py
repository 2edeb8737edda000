"""Where the time of the suite goes: `make test-times` writes wall and CPU seconds of every test, and prints the sums of each folder.

The CPU seconds of a process count for the test in which it was waited for: forked engines (`tests.fork_server`) and servers of a whole
session count at their end, so in no test.
"""

from __future__ import annotations

import json
import os
import resource
import time
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path

import pytest

VARIABLE = "LOADFLOW_TEST_TIMES"  # the file; unset: nothing is measured
FILE = os.environ.get(VARIABLE)


def _now() -> tuple[float, float, float]:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic(), time.process_time(), children.ru_utime + children.ru_stime


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if FILE is None:
        return (yield)
    before = _now()
    result = yield
    wall_s, own_s, children_s = (round(after - one, 4) for after, one in zip(_now(), before, strict=True))
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    when = {"worker": worker, "end_s": round(time.time(), 2)}
    line = json.dumps({"test": item.nodeid, **when, "wall_s": wall_s, "own_s": own_s, "children_s": children_s})
    with Path(FILE).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    return result


def table(lines: list[str]) -> list[str]:
    """A line for each folder, the most costly first, and one of all."""
    sums: dict[str, list[float]] = defaultdict(lambda: [0, 0.0, 0.0])
    for line in lines:
        one = json.loads(line)
        for folder in (one["test"].split("::")[0].rpartition("/")[0] or ".", "all"):
            sums[folder][0] += 1
            sums[folder][1] += one["wall_s"]
            sums[folder][2] += one["own_s"] + one["children_s"]
    rows = sorted(sums.items(), key=lambda row: -row[1][1])
    head = f"{'folder':24}{'tests':>7}{'wall s':>10}{'CPU s':>10}"
    return [head, *(f"{name:24}{n:7}{wall:10.1f}{cpu:10.1f}" for name, (n, wall, cpu) in rows)]


def ends(lines: list[str]) -> list[str]:
    """How long before the last test each worker had none left, the first that was idle first; none where there is one process."""
    last: dict[str, float] = {}
    for line in lines:
        one = json.loads(line)
        last[one["worker"]] = max(last.get(one["worker"], 0.0), one["end_s"])
    final_s = max(last.values(), default=0.0)
    rows = sorted(last.items(), key=lambda row: row[1])
    return [f"{worker} idle for the last {final_s - end_s:.0f} s" for worker, end_s in rows[:-1]]


def longest(lines: list[str], count: int = 20) -> list[str]:
    tests = sorted((json.loads(line) for line in lines), key=lambda one: -one["wall_s"])
    return [f"{one['wall_s']:8.1f} s  {one['test']}" for one in tests[:count]]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if FILE is not None and Path(FILE).exists():
        lines = Path(FILE).read_text(encoding="utf-8").splitlines()
        for line in (*longest(lines), *ends(lines), *table(lines)):
            terminalreporter.write_line(line)
