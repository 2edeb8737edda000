"""Which kind of test a test is, and beside which others it runs."""

from __future__ import annotations

import pytest

from tests.forked_engines import FORKED
from tests.kinds import (
    BY_FILE,
    BY_FOLDER,
    DEAR_FILES,
    E2E,
    E2E_FILES,
    ONLY_LONG,
    PROCESS_FILES,
    PROCESSES,
    ROOT,
    SERVERS,
    SHARING,
    SHARING_FILES,
    TIERS,
    folder_of,
    further,
    group_of,
    kinds_of,
    tiers,
)


@pytest.mark.parametrize(
    ("folder", "file", "fixtures", "kinds", "group"),
    [
        pytest.param("records", "test_fold", [], set(), "", id="values alone are quick"),
        pytest.param("script", "test_checking", ["target"], {"processes"}, "", id="a target is a process"),
        pytest.param("load", "test_rate", [], {"processes"}, "", id="a load is processes"),
        pytest.param("records", "test_private", [], {"processes"}, "", id="one file of a quick folder"),
        pytest.param("flows", "test_events", ["prefect_server"], {"e2e", "processes"}, "prefect-2", id="what needs Prefect's server"),
        pytest.param("fleet", "test_wire", [], {"e2e", "processes"}, "", id="several machines"),
        pytest.param("cli", "test_run_flow", [], {"e2e", "processes"}, "prefect-1", id="one file of a folder"),
        pytest.param("store", "test_trouble", ["place"], {"e2e", "processes"}, "store", id="one database server for a folder"),
        pytest.param("hostile", "test_target", ["played"], {"processes"}, "test_target", id="one play of the hostile target"),
        pytest.param("ends", "test_worker", ["server"], {"e2e", "processes"}, "prefect-0", id="a server that all share"),
        pytest.param("ui", "test_live_page", ["page"], {"e2e", "processes"}, "ui", id="one browser for a folder"),
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
    folders = E2E | PROCESSES | BY_FOLDER | BY_FILE | SHARING | FORKED
    assert [name for name in sorted(folders) if not (ROOT / name).is_dir()] == []
    files = {path.name for path in ROOT.rglob("test_*.py")}
    assert (E2E_FILES | PROCESS_FILES | {f"{stem}.py" for stem in SHARING_FILES | DEAR_FILES}) - files == set()


FURTHER = [
    pytest.param(["t1:native", "t1:locust"], [False, False], id="each engine has a row"),
    pytest.param(["t1:locust", "t1:native", "t1:locust", "t1:native"], [False, False, True, False], id="all rows are the core's"),
    pytest.param(["t1:http2", "t1:http2 streams", "t1:http2", "t1:http2 streams"], [False, False, False, True], id="or the first way's"),
    pytest.param(["t1:native", "t1:locust", "t2:native", "t2:locust"], [False, False, False, True], id="one in each file"),
    pytest.param(["t1:locust", "t2:locust", "t1:locust"], [False, False, False], id="no other makes it"),
    pytest.param(["t1:", "t1:"], [False, False], id="none is said"),
]


@pytest.mark.parametrize(("rows", "long"), FURTHER)
def test_a_further_engine_has_one_row_in_each_file_that_is_not_long(rows: list[str], long: list[bool]) -> None:
    assert further([("test_x.py", *row.split(":")) for row in rows]) == long  # type: ignore[misc]
    assert further([(f"test_{n}.py", f"{n}{row.split(':')[0]}", row.split(":")[1]) for n, row in enumerate(rows)]) == [False] * len(rows)


def test_a_file_that_is_collected_in_part_says_nothing_about_what_is_long() -> None:
    tests = [("a/test_x.py", False), ("a/test_x.py", True), ("test_y.py", True), ("test_z.py", True)]
    assert tiers(tests, in_part=[ROOT / "test_z.py"]) == {"a/test_x.py": {False, True}, "test_y.py": {True}}


def test_every_file_has_a_test_that_is_not_long_unless_it_is_listed_with_its_reason(request: pytest.FixtureRequest) -> None:
    """Of the files that this session collected: all, where the suite runs."""
    found = request.config.stash[TIERS]
    assert found["test_kinds.py"] == {False} or "test_kinds.py" not in found
    only_long = {file for file, of_its_tests in found.items() if of_its_tests == {True}}
    assert only_long <= set(ONLY_LONG)
    assert {file for file in ONLY_LONG if not (ROOT / file).exists() or file in set(found) - only_long} == set()
    assert all(reason.strip() for reason in ONLY_LONG.values())


def test_what_shares_a_prefect_server_is_spread_over_the_workers_that_have_one() -> None:
    groups = {group_of(path.parent.name, path.stem) for folder in SHARING for path in (ROOT / folder).glob("test_*.py")}
    assert groups == {f"prefect-{number}" for number in range(SERVERS)}
