"""Which tests are quick, which go from end to end: by their folders and fixtures, so that a new test needs no mark to be the right kind.

`e2e`: Prefect, databases, browsers or several machines take part. `processes`: real processes are started; every `e2e` test is one,
and so is what loads the recording server. What is neither is quick: with LOADFLOW_TEST_QUICK=1 a test that starts a process all the
same fails, and says so.

`long` is the one mark that tests have themselves: for what costs much and adds little to a cheaper test of the same file, as further
combinations, further kills, repetitions or a second walk through the same pages do. LOADFLOW_TEST_LONG=0 leaves it out. A table that
several engines run is marked here: the core makes all of it, where it does, and each other engine one row in each file; the rest is long.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

ROOT = Path(__file__).parent
E2E = {"ends", "fleet", "flows", "store", "ui"}
E2E_FILES = {"test_deployments.py", "test_docs.py", "test_install.py", "test_packaging.py", "test_run_flow.py", "test_walk.py"}
PROCESSES = {"calibration", "cli", "control", "exporters", "hostile", "load", "protocols", "proving", "reliability"}
PROCESS_FILES = {  # of other folders
    "test_chart.py",
    "test_checking.py",
    "test_deployment_files.py",
    "test_engine_process.py",
    "test_forked_engines.py",
    "test_forms.py",
    "test_generator_limits.py",
    "test_going_on.py",
    "test_known_defects.py",
    "test_leftovers.py",
    "test_memory.py",
    "test_prefect_database.py",
    "test_private.py",
    "test_real_nights.py",
    "test_recording_target.py",
    "test_round_trip.py",
    "test_warm.py",
}
BY_FOLDER = {"store", "ui"}  # whose tests share one server, or one browser
BY_FILE = {"exporters"}  # folders whose files have servers of their own, or fixtures
# what shares a Prefect server (`tests.prefect_servers`) is in as many workers as there are to be servers, always the same files together:
# each costs as much as thirty tests to start and to have
SHARING = {"ends", "flows"}
SHARING_FILES = {"test_docs", "test_run_flow"}
SERVERS = 3
# what their fixtures make takes long, and is for all tests of the file
DEAR_FILES = {
    "test_compare",
    "test_conservation",
    "test_evidence",
    "test_frame",
    "test_grpc",
    "test_grpc_ends",
    "test_http2_nginx",
    "test_packaging",
    "test_reports_serve",
    "test_statistics_page",
    "test_target",
}
QUICK = os.environ.get("LOADFLOW_TEST_QUICK") == "1"
WITH_LONG = not QUICK and os.environ.get("LOADFLOW_TEST_LONG") != "0"
ONLY_LONG = {  # files below tests/ that have none but `long` tests, and why
    "ends/test_docker_pool.py": "containers, where an image is built; agents of a pool of processes do the same in ends/test_pool.py",
    "history/test_real_nights.py": "fifteen real loads; history/test_judging.py judges the same chain of synthetic runs",
    "fleet/test_example.py": "three commands of a shell, each a new interpreter; fleet/test_load.py makes the same load",
}
TIERS = pytest.StashKey[dict[str, set[bool]]]()  # of each file that was collected whole, whether its tests are `long`
ENGINE_PARAMETERS = ("user", "engine", "made_by")  # of tests: which engine, or which way of one, makes the load
CORE = "native"
STARTING = {"target", "prefect_server", "server"}  # fixtures
EVENTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec"}


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Folders and files without a quick test are not even imported."""
    slow = collection_path.name in E2E_FILES | PROCESS_FILES or (collection_path.parent == ROOT and collection_path.name in E2E | PROCESSES)
    return True if QUICK and slow else None


@pytest.hookimpl(tryfirst=True)  # before -m looks at the marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    known = [item for item in items if not _is_long(item)]
    for item, is_further in zip(known, further([_engine_row(item) for item in known]), strict=True):
        if is_further:
            item.add_marker("long")
    config.stash[TIERS] = tiers(
        [(str(item.path.relative_to(ROOT)), _is_long(item)) for item in items if ROOT in item.path.parents],
        in_part=[Path(given.partition("::")[0]).resolve() for given in config.args if "::" in given],
    )
    if not WITH_LONG:
        config.hook.pytest_deselected(items=[item for item in items if _is_long(item)])
        items[:] = [item for item in items if not _is_long(item)]
    for item in items:
        folder, fixtures = folder_of(item.path), getattr(item, "fixturenames", ())
        for kind in kinds_of(folder, item.path.name, fixtures):
            item.add_marker(kind)
        if group := group_of(folder, item.path.stem):
            item.add_marker(pytest.mark.xdist_group(group))


def _engine_row(item: pytest.Item) -> tuple[str, str, str]:
    given = getattr(getattr(item, "callspec", None), "params", {})
    engine = next((str(given[name]) for name in ENGINE_PARAMETERS if name in given), "")
    return str(item.path), item.nodeid.partition("[")[0], engine


def further(rows: Sequence[tuple[str, str, str]]) -> list[bool]:
    """Which rows run on another engine than the table's first one, and are not the first in their file that do.

    `rows`: the file, the test and the engine of each, "" for a test that does not say one. The core is the first, wherever it stands.
    """
    first: dict[str, str] = {}
    for _, test, engine in rows:
        if test not in first or engine == CORE:
            first[test] = engine
    seen: set[tuple[str, str]] = set()
    found = []
    for file, test, engine in rows:
        is_other = engine not in ("", first[test])
        found.append(is_other and (file, engine) in seen)
        if is_other:
            seen.add((file, engine))
    return found


def _is_long(item: pytest.Item) -> bool:
    return item.get_closest_marker("long") is not None


def tiers(tests: Iterable[tuple[str, bool]], in_part: Collection[Path]) -> dict[str, set[bool]]:
    """Whether tests of each file are `long`; `tests` are the file of each, below tests/, and whether it is. Without files `in_part`."""
    found: dict[str, set[bool]] = defaultdict(set)
    for file, is_long in tests:
        if ROOT / file not in in_part:
            found[file].add(is_long)
    return dict(found)


def folder_of(path: Path) -> str:
    """The first one below tests/, "" for a file that is in none: what is in `protocols/http` is of the kind of `protocols`."""
    return path.relative_to(ROOT).parts[0] if ROOT in path.parents and path.parent != ROOT else ""


def kinds_of(folder: str, file: str, fixtures: Iterable[str]) -> set[str]:
    if folder in E2E or file in E2E_FILES or "prefect_server" in fixtures:
        return {"e2e", "processes"}
    starts = folder in PROCESSES or file in PROCESS_FILES or STARTING.intersection(fixtures)
    return {"processes"} if starts else set()


def group_of(folder: str, file: str) -> str:
    """Tests of one group run one after another in the same process (`--dist loadgroup`), so that what they share is made once for them."""
    if folder in SHARING or file in SHARING_FILES:
        return f"prefect-{crc32(file.encode()) % SERVERS}"
    return folder if folder in BY_FOLDER else file if folder in BY_FILE or file in DEAR_FILES else ""


def refuse_processes() -> None:
    """For good: an audit hook can't be taken away."""

    def refuse(event: str, arguments: Any) -> None:
        if event in EVENTS and "PYTEST_CURRENT_TEST" in os.environ:
            raise AssertionError("a quick test starts a process: mark it `processes`, or test what it is about without one")

    sys.addaudithook(refuse)


if QUICK:
    refuse_processes()
