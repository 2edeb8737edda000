"""What a user does before and after his part of the load: `on_start`, `on_stop`, the row he keeps, and passes that a failure ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.records.outcome import HitFlag, Outcome
from tests.load import harness
from tests.load.harness import get, load, post
from tests.targets.fixture import Target


@pytest.fixture(params=("fast_http_user", "native"), autouse=True)
def made_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, target: Target) -> None:
    """Whoever makes the load means the same."""
    target.reset()
    monkeypatch.setattr(harness, "DEFAULT", request.param)


def paths(target: Target) -> list[str]:
    return [record.target for record in target.records()]


LOG_IN = post("/login", name="log in", extract=[{"var": "token", "path": "token", "scope": "session"}])
LOG_OUT = get("/ok?by=${session.token}", name="log out")


def test_a_user_is_set_up_once_and_leaves_once(target: Target, tmp_path: Path) -> None:
    done = load(
        tmp_path,
        [get("/ok?home=${session.token}", name="home")],
        host=target.url,
        user_count=2,
        iterations=3,
        on_start=[LOG_IN],
        on_stop=[LOG_OUT],
    )
    assert done.counts() == {"on_start: log in": 2, "home": 6, "on_stop: log out": 2}
    order = [[hit.name for hit in done.hits if hit.user == user] for user in (0, 1)]
    assert order == [["on_start: log in", *["home"] * 3, "on_stop: log out"]] * 2
    asked = sorted(paths(target))
    assert asked[:2] == ["/login", "/login"]
    assert {path.partition("=")[0]: asked.count(path) for path in asked[2:]} == {"/ok?by": 1, "/ok?home": 3}
    assert len({path.partition("=")[2] for path in asked[2:]}) == 2
    marks = {hit.name: bool(hit.flags & HitFlag.SETUP) for hit in done.hits}
    assert marks == {"on_start: log in": True, "home": False, "on_stop: log out": True}


def test_setup_counts_in_no_number_of_the_load(target: Target, tmp_path: Path) -> None:
    slow = get("/delay/300", name="log in")
    thresholds = ["max < 250ms", {"expr": "p95 > 250ms", "name": "on_start: log in"}, {"expr": "count <= 1", "name": "on_start:*"}]
    done = load(tmp_path, [get("/ok", name="home")], host=target.url, iterations=4, on_start=[slow], thresholds=thresholds)
    summary = done.summary
    assert summary["totals"]["requests"] == 4
    assert summary["latency_overall"]["max_ms"] < 250
    assert summary["per_name"]["on_start: log in"]["count"] == 1
    assert [one["state"] for one in summary["thresholds"]] == ["passed"] * 3
    assert summary["passes"]["made"] == 4
    assert sum(row.succeeded.count for row in done.run.seconds()) == 4


def test_nobody_goes_on_who_was_not_set_up(target: Target, tmp_path: Path) -> None:
    refused = {**LOG_IN, "request_url": "/status/401"}
    done = load(tmp_path, [get("/ok", name="home")], host=target.url, on_start=[refused, get("/ok", name="next")], on_stop=[LOG_OUT])
    assert done.counts() == {"on_start: log in": 1}
    assert done.summary["verdict"]["verdict"] == "failed"


def test_a_share_of_users_that_could_not_be_set_up_fails_the_run(target: Target, tmp_path: Path) -> None:
    rows = tmp_path / "codes.csv"
    rows.write_text("code\n200\n401\n")
    sources = [{"name": "codes", "file_path": str(rows), "per": "user"}]
    log_in = get("/status/${csv.codes.code}", name="log in")
    same: dict[str, Any] = {"host": target.url, "user_count": 2, "csv_sources": sources, "on_start": [log_in]}
    done = load(tmp_path, [get("/ok", name="home")], **same)
    assert done.counts() == {"on_start: log in": 2, "home": 1}
    assert done.summary["verdict"]["reasons"][0] == "1 of 2 set-up hits failed (50.00%); max_failure_rate allows none"


def test_a_user_keeps_his_row(target: Target, tmp_path: Path) -> None:
    rows = tmp_path / "users.csv"
    rows.write_text("name,pin\nann,1\nbob,2\n")
    sources = [{"name": "users", "file_path": str(rows), "per": "user"}]
    steps = [get("/ok?name=${csv.users.name}", name="one"), get("/ok?pin=${csv.users.pin}", name="two")]
    load(tmp_path, steps, host=target.url, user_count=2, iterations=2, csv_sources=sources)
    of_connection: dict[int, set[str]] = {}
    for record in target.records():
        of_connection.setdefault(record.connection, set()).add(record.target.partition("?")[2])
    assert sorted(map(sorted, of_connection.values())) == [["name=ann", "pin=1"], ["name=bob", "pin=2"]]


def test_a_group_is_picked_as_one(target: Target, tmp_path: Path) -> None:
    tasks = {
        "mode": "weighted",
        "tasks": [
            {"group": "browse", "weight": 3, "steps": [get("/ok?a", name="a"), get("/ok?b", name="b")]},
            {"group": "buy", "steps": [get("/ok?c", name="c")]},
            get("/ok?d", name="d"),
        ],
    }
    done = load(tmp_path, tasks, host=target.url, iterations=10)
    assert done.counts() == {"a": 6, "b": 6, "c": 2, "d": 2}
    names = [hit.name for hit in done.hits]
    assert all(names[at + 1] == "b" for at, name in enumerate(names) if name == "a")
    assert done.summary["passes"]["made"] == 10


def test_a_pace_gives_passes_to_users_who_are_set_up(target: Target, tmp_path: Path) -> None:
    done = load(
        tmp_path,
        [get("/ok?${session.token}", name="home")],
        host=target.url,
        user_count=3,
        rate={"mode": "stages", "stages": [{"duration": 1, "rps": 20}, {"duration": 5, "rps": 0}]},
        on_start=[LOG_IN],
        on_stop=[LOG_OUT],
    )
    assert done.counts() == {"on_start: log in": 3, "home": 20, "on_stop: log out": 3}
    assert {path.partition("-")[0] for path in paths(target)} == {"/login", "/ok?t", "/ok?by=t"}
    assert done.summary["passes"]["made"] == 20


ENDS: list[tuple[str, dict[str, Any], Outcome, int]] = [
    ("by itself a failure ends nothing", {"request_url": "/status/500"}, Outcome.STATUS, 2),
    ("stop ends the pass", {"request_url": "/status/500", "on_failure": "stop"}, Outcome.STATUS, 1),
    ("a status is no lack", {"request_url": "/status/500", "on_failure": "stop_if_lacking"}, Outcome.STATUS, 2),
    (
        "what is wanted of an answer with a bad status may be there",
        {"request_url": "/status/500", "on_failure": "stop_if_lacking", "extract": [{"var": "b", "from": "body", "scope": "session"}]},
        Outcome.STATUS,
        2,
    ),
    (
        "or lack, which ends the pass",
        {"request_url": "/status/500", "on_failure": "stop_if_lacking", "extract": [{"var": "b", "path": "x", "scope": "session"}]},
        Outcome.STATUS,
        1,
    ),
    (
        "so does an assertion",
        {"request_url": "/ok", "on_failure": "stop_if_lacking", "assertions": [{"type": "contains", "value": "nowhere"}]},
        Outcome.ASSERTION,
        1,
    ),
    ("a value that is not there", {"request_url": "/ok?${session.none}", "on_failure": "stop_if_lacking"}, Outcome.TEMPLATE, 1),
]


@pytest.mark.parametrize(("step", "outcome", "hits"), [row[1:] for row in ENDS], ids=[row[0] for row in ENDS])
def test_what_a_failure_ends(target: Target, tmp_path: Path, step: dict[str, Any], outcome: Outcome, hits: int) -> None:
    never = get("/ok", name="never", skip_if=True, extract=[{"var": "none", "path": "x", "scope": "session"}])
    done = load(tmp_path, [{"method": "get", "name": "first", **step}, never, get("/ok", name="second")], host=target.url, iterations=2)
    assert [hit.outcome for hit in done.hits if hit.name == "first"] == [outcome] * 2
    assert done.counts()["second"] == (hits - 1) * 2
    assert done.summary["passes"]["made"] == 2  # a pass that its own failure ended was not cut off
