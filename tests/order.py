"""In which order the workers of xdist take tests and read their files, so that none waits at the end and no file is compiled twice.

Longest first: a group (`tests.kinds`) or test that lasts long and starts last is one worker's, while the others have nothing left to do.
Seconds are those of `seconds.json`, into which `python -m tests.order TIMES` puts what `make test-times` or CI measured; a test that is
not in there counts as long as others of its kind.

Every worker collects the same tests. Where their files were not imported before the workers began (`tests.warm`), each begins to import
them at another place, so that most of those it comes to later have been compiled, their assertions rewritten, by another. What is
collected stays, so that the garbage collector looks for nothing in it: not while it grows, which is a sixth of what collecting costs, and
never after.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
FILE = Path(__file__).with_name("seconds.json")
KNOWN_S = 1.0  # shorter ones are not worth a line
KINDS_S = {"e2e": 3.0, "processes": 1.0}  # of a test that the file does not name
QUICK_S = 0.05
MOST_QUICK_S = 2.0  # what takes longer is not for every save


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False  # xdist's own: most tests first
    if config.getoption("dist", "no") == "loadgroup" and not hasattr(pytest.Item, "_nodeid"):
        raise pytest.UsageError(
            f"with pytest {pytest.__version__}, pytest-xdist {version('pytest-xdist')} does not keep the tests of a group together, so "
            "that every process would make what they share; install the versions of constraints.txt"
        )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    gc.disable()
    try:
        import_from_own_place(session)
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def import_from_own_place(session: pytest.Session) -> None:
    worker = getattr(session.config, "workerinput", None)
    if worker is None or [Path(given).resolve() for given in session.config.args] != [ROOT] or "LOADFLOW_TEST_QUICK" in os.environ:
        return
    paths = sorted(ROOT.rglob("test_*.py"))
    for path in turned(paths, int(worker["workerid"].removeprefix("gw")), worker["workercount"]):
        with contextlib.suppress(Exception, pytest.skip.Exception):  # collection comes to the same, and reports it
            importlib.import_module(".".join(path.relative_to(ROOT.parent).with_suffix("").parts))


@pytest.hookimpl(trylast=True)  # when groups are known
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "LOADFLOW_TEST_QUICK" in os.environ:
        known = _known()
        left_out = [item for item in items if known.get(name_of(item.nodeid), 0.0) > MOST_QUICK_S]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    if getattr(config.option, "loadgroup", False) and hasattr(config, "workerinput"):
        known = _known()
        costs = [(_group(item), known.get(name_of(item.nodeid), _usual_s(item))) for item in items]
        items[:] = [items[at] for at in longest_first(costs)]


def turned(paths: Sequence[Path], worker: int, workers: int) -> list[Path]:
    """All of them, from another place for each worker."""
    start = len(paths) * worker // workers
    return [*paths[start:], *paths[:start]]


def longest_first(costs: Sequence[tuple[str, float]]) -> list[int]:
    """The places of tests in the order in which to run them; `costs` are the group of each ("": alone) and its seconds."""
    sums: dict[str | int, float] = defaultdict(float)
    for at, (group, seconds) in enumerate(costs):
        sums[group or at] += seconds
    return sorted(range(len(costs)), key=lambda at: (-sums[costs[at][0] or at], costs[at][0]))


def name_of(nodeid: str) -> str:
    """Of a test with all its parameters, without the group that xdist appends."""
    return nodeid.partition("[")[0].partition("@")[0]


def known_seconds(lines: Sequence[str]) -> Mapping[str, float]:
    """The longest of each test's parameters, in tenths, of the lines that `tests.times` wrote."""
    found: dict[str, float] = defaultdict(float)
    for line in lines:
        one = json.loads(line)
        name = name_of(one["test"])
        found[name] = max(found[name], round(one["wall_s"], 1))
    return {name: seconds for name, seconds in sorted(found.items()) if seconds >= KNOWN_S}


def _known() -> dict[str, float]:
    known: dict[str, float] = json.loads(FILE.read_text(encoding="utf-8"))
    return known


def _group(item: pytest.Item) -> str:
    mark = item.get_closest_marker("xdist_group")
    return str(mark.args[0]) if mark else ""


def _usual_s(item: pytest.Item) -> float:
    return next((seconds for kind, seconds in KINDS_S.items() if item.get_closest_marker(kind)), QUICK_S)


def merged(kept: Mapping[str, float], lines: Sequence[str], is_there: Callable[[str], bool]) -> dict[str, float]:
    """Those of tests that were measured anew, and of others what was known before, as long as they are there."""
    measured = {name_of(json.loads(line)["test"]) for line in lines}
    others = {name: seconds for name, seconds in kept.items() if name not in measured}
    return {name: seconds for name, seconds in sorted({**others, **known_seconds(lines)}.items()) if is_there(name)}


def _is_there(name: str) -> bool:
    path, _, test = name.partition("::")
    file = ROOT.parent / path
    return file.exists() and f"def {test.rpartition('::')[2]}(" in file.read_text(encoding="utf-8")


if __name__ == "__main__":
    measured = [line for path in sys.argv[1:] for line in Path(path).read_text(encoding="utf-8").splitlines()]
    known = merged(json.loads(FILE.read_text(encoding="utf-8")), measured, _is_there)
    FILE.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
