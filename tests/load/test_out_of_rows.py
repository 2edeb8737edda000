"""A user for whom a source has no row left fails once and stops; when all users have, the load is over. The same on all engines."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.records.outcome import HitFlag, Outcome
from loadflow.engine.records.totals import SeriesTotals
from tests.load.harness import USERS, Outcomes, get, load
from tests.targets.fixture import Target

ROW = get("/echo?row=${csv.rows.n}", name="row")
FOREVER: dict[str, Any] = {"iterations": None, "test_time": 300, "max_failure_rate": 1}  # it ends for want of rows, not of time


def source(folder: Path, rows: int) -> list[dict[str, Any]]:
    (folder / "rows.csv").write_text("n\n" + "".join(f"{number}\n" for number in range(rows)))
    return [{"name": "rows", "file_path": str(folder / "rows.csv"), "mode": "once"}]


def last(done: Outcomes) -> Counter[Outcome]:
    """How the last hits of users that stopped ended."""
    return Counter(hit.outcome for hit in done.hits if hit.flags & HitFlag.LAST)


def warned(done: Outcomes) -> list[str]:
    return [warning["message"] for warning in done.summary["warnings"] if warning["code"] == "out-of-rows"]


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("processes", [1, 2])
def test_each_user_fails_once_and_the_load_ends_with_the_last_of_them(user: str, processes: int, target: Target, tmp_path: Path) -> None:
    target.reset()
    given = {"user_count": 4, "processes": processes, "csv_sources": source(tmp_path, 30), "host": target.url, **FOREVER}
    done = load(tmp_path, [ROW, get("/ok")], user=user, **given)
    assert sorted(int(record.target.partition("=")[2]) for record in target.records("/echo")) == list(range(30))
    assert Counter(hit.outcome for hit in done.hits if hit.name == "row") == {Outcome.OK: 30, Outcome.TEMPLATE: 4}
    assert last(done) == {Outcome.TEMPLATE: 4}
    assert len({hit.user for hit in done.hits if hit.flags & HitFlag.LAST}) == 4
    assert target.counts()["/ok"] == 30, "the steps after it are not made"
    assert warned(done) == ["4 users stopped early: a csv source with mode once had no row left."]
    assert done.error is None


@pytest.mark.parametrize("user", USERS)
def test_at_a_rate_it_is_the_same(user: str, target: Target, tmp_path: Path) -> None:
    target.reset()
    rate = {"mode": "constant", "rps": 200, "duration": 300}
    given = {"user_count": 3, "test_time": 60}
    done = load(tmp_path, [ROW], user=user, csv_sources=source(tmp_path, 20), host=target.url, max_failure_rate=1, rate=rate, **given)
    assert target.counts() == {"/echo": 20}
    assert last(done) == Counter({Outcome.TEMPLATE: 3})
    assert done.run.end().ran_s < 60


@pytest.mark.parametrize("user", USERS)
def test_a_retry_is_of_no_use_and_a_failed_think_time_counts_too(user: str, target: Target, tmp_path: Path) -> None:
    target.reset()
    given = {"user_count": 1, "csv_sources": source(tmp_path, 2), "host": target.url, **FOREVER}
    tried = load(tmp_path / "a", [{**ROW, "retry": {"permanent": 5, "base_delay": 0.01}}], user=user, **given)
    flags = [HitFlag.FIRST, HitFlag.FIRST, HitFlag.FIRST | HitFlag.LAST]  # each is a pass of its own, and nothing was tried again
    assert [(hit.outcome, hit.flags) for hit in tried.hits] == list(zip([Outcome.OK, Outcome.OK, Outcome.TEMPLATE], flags, strict=True))
    thinking = load(tmp_path / "b", [get("/ok", think_time="${csv.rows.n}")], user=user, **given)
    assert last(thinking) == {Outcome.TEMPLATE: 1}
    assert thinking.error_text("/ok").startswith("think_time: ${csv.rows}: csv source 'rows' ran out after 2 rows")


@pytest.mark.parametrize("user", USERS)
def test_a_condition_without_a_row_is_false_and_stops_nobody(user: str, target: Target, tmp_path: Path) -> None:
    target.reset()
    given = {"user_count": 1, "csv_sources": source(tmp_path, 2), "host": target.url, "iterations": 5}
    done = load(tmp_path, [get("/ok", skip_if={"equals": ["${csv.rows.n}", "0"]})], user=user, **given)
    assert target.counts() == {"/ok": 4}
    assert (last(done), warned(done), done.summary["verdict"]["verdict"]) == ({}, [], "passed")


def test_counts_of_an_older_release_have_none() -> None:
    written = SeriesTotals(out_of_rows=3).to_json()
    assert SeriesTotals.from_json(written).out_of_rows == 3
    del written["out_of_rows"]
    assert SeriesTotals.from_json(written).out_of_rows == 0
