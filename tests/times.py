"""Where the time of the suite goes: `make test-times` writes wall and CPU seconds of every test, and prints the sums of each folder.

The CPU seconds of a test are those of this process and of all below it: of who ended before, too, and of servers that several tests
share, which count for whichever test runs. What a process needs before its first test (imports, collection) and after its last has lines
of its own, and so has what all workers begin with: the process that gives them tests, and the warm one (`tests.warm`). CPU seconds hardly
hang on how busy the machine is, as wall seconds do.
"""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.cpu_tree import CpuTree, rows
from tests.warm import plugin

VARIABLE = "LOADFLOW_TEST_TIMES"  # the file; unset: nothing is measured
FILE = os.environ.get(VARIABLE)
LOOK_S = 0.25  # a test that is over sooner leaves the seconds of what it started to the next look, which is 5 ms to 10 ms
WARM_UP, BEFORE, AFTER = "(before the workers)", "(before the first test)", "(after the last test)"


class Clock:
    """What each test took. Processes below this one are looked at, which takes milliseconds, where a test may have started some."""

    def __init__(self) -> None:
        self._tree = CpuTree(os.getpid())
        self._wall_s, self._own_s, self._others_s = time.monotonic(), 0.0, 0.0
        self._looked_s = 0.0

    def lap(self, *, with_others: bool) -> tuple[float, float]:
        """Wall and CPU seconds since the last lap; those of other processes since it was last asked for them."""
        wall_s, own_s, others_s = time.monotonic(), time.process_time(), self._others_s
        if with_others and wall_s - self._looked_s >= LOOK_S:
            self._looked_s = wall_s
            others_s = max(others_s, self._tree.total_s(rows()) - own_s)
        took = wall_s - self._wall_s, own_s - self._own_s + others_s - self._others_s
        self._wall_s, self._own_s, self._others_s = wall_s, own_s, others_s
        return took


CLOCK: list[Clock] = []  # of this process, which may be a fork of one that imported this file


def pytest_configure() -> None:
    CLOCK[:] = [Clock()]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    if FILE is None:
        return (yield)
    if session.config.getoption("numprocesses", None):  # the process that only gives tests to others
        _write(WARM_UP, with_others=False, more_s=sum(one.cpu_s for one in plugin.WARM))
        return (yield)
    _write(BEFORE, with_others=True)
    result = yield
    _write(AFTER, with_others=True)
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if FILE is None:
        return (yield)
    CLOCK[0].lap(with_others=False)
    result = yield
    _write(item.nodeid, with_others=item.get_closest_marker("processes") is not None)
    return result


def _write(test: str, *, with_others: bool, more_s: float = 0.0) -> None:
    """`more_s`: CPU seconds that the clock does not know."""
    assert FILE is not None
    wall_s, cpu_s = CLOCK[0].lap(with_others=with_others)
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    line = json.dumps(
        {"test": test, "worker": worker, "end_s": round(time.time(), 2), "wall_s": round(wall_s, 4), "cpu_s": round(cpu_s + more_s, 4)}
    )
    with Path(FILE).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def table(lines: list[str]) -> list[str]:
    """A line for each folder, the most costly first, and one of all."""
    sums: dict[str, list[float]] = defaultdict(lambda: [0, 0.0, 0.0])
    for line in lines:
        one = json.loads(line)
        path = one["test"].split("::")[0]
        for folder in (path.rpartition("/")[0] or path, "all"):
            sums[folder][0] += 1
            sums[folder][1] += one["wall_s"]
            sums[folder][2] += one["cpu_s"]
    by_cpu = sorted(sums.items(), key=lambda row: -row[1][2])
    head = f"{'folder':24}{'tests':>7}{'wall s':>10}{'CPU s':>10}"
    return [head, *(f"{name:24}{n:7}{wall:10.1f}{cpu:10.1f}" for name, (n, wall, cpu) in by_cpu)]


def ends(lines: list[str]) -> list[str]:
    """How long before the last test each worker had none left, the first that was idle first; none where there is one process."""
    last: dict[str, float] = {}
    for line in lines:
        one = json.loads(line)
        if one["test"] == WARM_UP:
            continue
        last[one["worker"]] = max(last.get(one["worker"], 0.0), one["end_s"])
    final_s = max(last.values(), default=0.0)
    first = sorted(last.items(), key=lambda row: row[1])
    return [f"{worker} idle for the last {final_s - end_s:.0f} s" for worker, end_s in first[:-1]]


def most(lines: list[str], of: str, count: int = 20) -> list[str]:
    """The tests with the most of `wall_s` or `cpu_s`."""
    tests = sorted((json.loads(line) for line in lines), key=lambda one: -one[of])
    return [f"{one[of]:8.1f} {of.partition('_')[0]} s  {one['test']}" for one in tests[:count]]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if FILE is not None and Path(FILE).exists():
        lines = Path(FILE).read_text(encoding="utf-8").splitlines()
        for line in (*most(lines, "wall_s"), *most(lines, "cpu_s"), *ends(lines), *table(lines)):
            terminalreporter.write_line(line)
