"""Which kind of test a test is, and beside which others it runs."""

from __future__ import annotations

import pytest

from tests.forked_engines import FORKED
from tests.kinds import (
    AUTOMATIONS,
    BY_FILE,
    BY_FOLDER,
    DEAR_FILES,
    E2E,
    E2E_FILES,
    PROCESS_FILES,
    PROCESSES,
    ROOT,
    folder_of,
    group_of,
    kinds_of,
)


@pytest.mark.parametrize(
    ("folder", "file", "fixtures", "kinds", "group"),
    [
        pytest.param("records", "test_fold", [], set(), "", id="values alone are quick"),
        pytest.param("script", "test_checking", ["target"], {"processes"}, "", id="a target is a process"),
        pytest.param("load", "test_rate", [], {"processes"}, "", id="a load is processes"),
        pytest.param("records", "test_private", [], {"processes"}, "", id="one file of a quick folder"),
        pytest.param("flows", "test_events", ["prefect_server"], {"e2e", "processes"}, "test_events", id="what needs Prefect's server"),
        pytest.param("fleet", "test_wire", [], {"e2e", "processes"}, "", id="several machines"),
        pytest.param("cli", "test_run_flow", [], {"e2e", "processes"}, "", id="one file of a folder"),
        pytest.param("store", "test_trouble", ["place"], {"e2e", "processes"}, "store", id="one database server for a folder"),
        pytest.param("hostile", "test_target", ["played"], {"processes"}, "test_target", id="one play of the hostile target"),
        pytest.param("ends", "test_worker", ["server"], {"e2e", "processes"}, "", id="a server that all share"),
        pytest.param("ends", "test_deployed", ["server"], {"e2e", "processes"}, "", id="a server for each test"),
        pytest.param("ends", "test_zombies", ["server"], {"e2e", "processes"}, "automations", id="what would disturb each other"),
    ],
)
def test_the_kind_follows_from_folder_file_and_fixtures(folder: str, file: str, fixtures: list[str], kinds: set[str], group: str) -> None:
    assert kinds_of(folder, f"{file}.py", fixtures) == kinds
    assert group_of(folder, file) == group


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        pytest.param("protocols/http/test_http.py", "protocols", id="a folder in a folder is part of it"),
        pytest.param("load/test_rate.py", "load", id="a folder"),
        pytest.param("test_walk.py", "", id="a file in no folder"),
    ],
)
def test_the_folder_of_a_test_is_the_first_below_tests(path: str, folder: str) -> None:
    assert folder_of(ROOT / path) == folder


def test_every_name_that_says_the_kind_of_something_names_what_is_there() -> None:
    folders = E2E | PROCESSES | BY_FOLDER | BY_FILE | FORKED
    assert [name for name in sorted(folders) if not (ROOT / name).is_dir()] == []
    files = {path.name for path in ROOT.rglob("test_*.py")}
    assert (E2E_FILES | PROCESS_FILES | {f"{stem}.py" for stem in AUTOMATIONS | DEAR_FILES}) - files == set()
