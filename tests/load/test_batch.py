"""Steps that one user sends at once: `{"batch": […]}`. The same on both engines."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.records.outcome import HitFlag, Outcome
from tests.load import harness
from tests.load.harness import Outcomes, get, load, post
from tests.targets.fixture import Target


@pytest.fixture(params=harness.USERS, autouse=True)
def made_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, target: Target) -> None:
    target.reset()
    monkeypatch.setattr(harness, "DEFAULT", request.param)


@pytest.fixture
def meeting() -> Iterator[str]:
    """A server that answers only when three requests are there."""
    together = threading.Barrier(3)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            together.wait()
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    together.abort()
    server.shutdown()
    server.server_close()
    thread.join()


def outcomes(done: Outcomes) -> dict[str, Outcome]:
    return {hit.name: hit.outcome for hit in done.hits}


def asked(target: Target) -> list[str]:
    return [record.target for record in target.records()]


WAYS = ("in a pass", "at a rate", "in on_start", "in on_stop", "in a group that is picked")


@pytest.mark.parametrize("way", WAYS)
def test_steps_of_a_batch_are_on_their_way_at_the_same_time(way: str, meeting: str, target: Target, tmp_path: Path) -> None:
    batch = {"batch": [get(f"{meeting}/{name}", name=name) for name in "abc"]}
    other = get(f"{target.url}/ok", name="other")
    phase = way.removeprefix("in ") if way in ("in on_start", "in on_stop") else ""
    given: dict[str, Any] = {phase: [batch]} if phase else {}
    steps: Any = [other] if phase else [batch]
    if way == "at a rate":
        given = {"rate": {"mode": "constant", "rps": 4, "duration": 1}, "user_count": 2}
    elif way == "in a group that is picked":
        steps = {"mode": "weighted", "tasks": [{"group": "g", "weight": 2, "steps": [batch, other]}, {**other, "weight": 0}]}
    done = load(tmp_path, steps, **given)
    assert set(outcomes(done).values()) == {Outcome.OK}
    count = 4 if way == "at a rate" else 1
    before = f"{phase}: " if phase else ""
    assert [done.counts()[before + name] for name in "abc"] == [count] * 3
    if way == "at a rate":
        due = sorted(int(row["due_ns"]) for row in done.rows)
        assert [due.count(one) for one in sorted(set(due))] == [3] * 4, "all steps of a batch are due with its pass"
    assert sum(bool(hit.flags & HitFlag.FIRST) for hit in done.hits) == done.summary["passes"]["made"]


def test_values_are_those_from_before_and_what_is_extracted_is_there_after(target: Target, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("id,of\n1,a\n2,b\n3,c\n")
    took = [{"var": "code", "from": "status_code"}, {"var": "sid", "from": "cookie", "name": "sid", "scope": "session"}]
    steps = [
        get("/ok?${csv.rows.id}"),
        {
            "batch": [
                get("/status/204?${csv.rows.id}=${code}", extract=[{"var": "a", "from": "status_code"}]),
                post("/login", name="log in", extract=took),
                get("/echo?${csv.rows.of}=${code}", extract=[{"var": "b", "path": "target"}]),
            ]
        },
        get(
            "/whoami?${a}&${code}&${b}&${session.sid}&${csv.rows.id}",
            assertions=[{"type": "json_path", "path": "sid", "value": "${session.sid}"}],
        ),
    ]
    sources = [{"name": "rows", "file_path": str(rows)}]
    done = load(tmp_path, steps, host=target.url, variables={"code": 7}, csv_sources=sources)
    assert set(outcomes(done).values()) == {Outcome.OK}, done.hits
    (sid,) = {path.rpartition("&s-")[2].partition("&")[0] for path in asked(target) if path.startswith("/whoami")}
    assert sorted(asked(target)) == sorted(["/ok?1", "/status/204?2=7", "/login", "/echo?b=7", f"/whoami?204&200&/echo?b=7&s-{sid}&3"])
    of_connection = {record.path: record.connection for record in target.records()}
    assert len({of_connection[path] for path in ("/status/204", "/login", "/echo")}) == 3
    assert of_connection["/ok"] == of_connection["/status/204"] == of_connection["/whoami"], "the first has the user's own connection"


def test_a_user_keeps_his_row_also_in_a_batch(target: Target, tmp_path: Path) -> None:
    rows = tmp_path / "users.csv"
    rows.write_text("name\nann\nbob\n")
    sources = [{"name": "users", "file_path": str(rows), "per": "user"}]
    steps = [{"batch": [get("/ok?1=${csv.users.name}"), get("/ok?2=${csv.users.name}")]}, get("/ok?3=${csv.users.name}")]
    load(tmp_path, steps, host=target.url, user_count=2, iterations=2, csv_sources=sources)
    counted = {path: asked(target).count(path) for path in asked(target)}
    assert counted == {f"/ok?{place}={name}": 2 for place in (1, 2, 3) for name in ("ann", "bob")}


ENDS: list[tuple[str, list[dict[str, Any]], int]] = [
    ("by itself a failure ends nothing", [{"request_url": "/status/500"}, {}], 1),
    ("stop ends the pass when all have ended", [{"request_url": "/status/500", "on_failure": "stop"}, {"request_url": "/delay/200"}], 0),
    ("so does that of the last", [{"request_url": "/delay/200"}, {"request_url": "/status/500", "on_failure": "stop"}], 0),
    ("a status is no lack", [{"request_url": "/status/500", "on_failure": "stop_if_lacking"}, {}], 1),
    (
        "a lack is one",
        [{}, {"on_failure": "stop_if_lacking", "extract": [{"var": "b", "path": "x", "scope": "session"}]}],
        0,
    ),
    ("a step that is left out fails nothing", [{"run_if": False, "on_failure": "stop", "request_url": "/status/500"}, {}], 1),
]  # fmt: skip


@pytest.mark.parametrize(("steps", "after"), [row[1:] for row in ENDS], ids=[row[0] for row in ENDS])
def test_what_a_failure_does_to_the_pass(steps: list[dict[str, Any]], after: int, target: Target, tmp_path: Path) -> None:
    batch = {"batch": [{**get("/ok"), **step, "name": f"b{at}"} for at, step in enumerate(steps)]}
    done = load(tmp_path, [batch, get("/ok?after", name="after")], host=target.url, max_failure_rate=1)
    assert done.counts()["after"] == after
    sent = [name for name, step in zip(("b0", "b1"), steps, strict=True) if step.get("run_if") is not False]
    assert [done.counts()[name] for name in sent] == [1] * len(sent), "the others of the batch are made to their end"
    passes = done.summary["passes"]
    assert (passes["made"], passes["cut_off"]) == (1, 0)
    assert sum(bool(hit.flags & HitFlag.FIRST) for hit in done.hits) == 1


def test_each_step_is_tried_again_by_itself(target: Target, tmp_path: Path) -> None:
    again = {"transient": 2, "permanent": 2, "base_delay": 0.01, "jitter": 0}
    batch = {"batch": [get("/status/503", name="a", retry=again), get("/ok", name="b"), get("/status/400", name="c", retry=again)]}
    done = load(tmp_path, [batch], host=target.url, max_failure_rate=1)
    assert done.counts() == {"a": 3, "b": 1, "c": 3}
    totals = done.summary["totals"]
    assert (totals["replaced"], totals["failures"], totals["successes"]) == (4, 2, 1)


def test_throttled_steps_wait_each_for_their_own_turn(target: Target, tmp_path: Path) -> None:
    slow = {"rps": 5, "key": "one"}
    batch = {"batch": [get("/ok?a", name="a", throttle=slow), get("/ok?b", name="b", throttle=slow), get("/ok?c", name="c")]}
    done = load(tmp_path, [batch], host=target.url)
    starts = {hit.name: int(row["start_ns"]) for row, hit in zip(done.rows, done.hits, strict=True)}
    assert max(starts["a"], starts["b"]) >= 200e6, "the second turn is so long after the first"
    assert done.counts() == {"a": 1, "b": 1, "c": 1}


@pytest.mark.parametrize("only", [True, False])
def test_the_pause_begins_when_all_have_ended_and_one_was_sent(only: bool, target: Target, tmp_path: Path) -> None:
    batch = {
        "batch": [get("/delay/200", name="slow", run_if=only), get("/ok", name="b", run_if=only)],
        "think_time": {"min": 0.3, "max": 0.3},
    }
    done = load(tmp_path, [batch, get("/ok", name="after")], host=target.url)
    times = {hit.name: row for row, hit in zip(done.rows, done.hits, strict=True)}
    if only:
        assert int(times["after"]["start_ns"]) - int(times["slow"]["end_ns"]) >= 299e6
    else:
        assert int(times["after"]["start_ns"]) < 300e6, "nothing was sent, so nothing is waited for"


def test_a_row_that_is_not_there_ends_the_user(target: Target, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("n\n1\n2\n")
    sources = [{"name": "rows", "file_path": str(rows), "mode": "once"}]
    batch = {"batch": [get("/ok?plain", name="plain"), get("/echo?${csv.rows.n}", name="row")]}
    more = {"iterations": None, "test_time": 300, "max_failure_rate": 1}
    done = load(tmp_path, [batch, get("/ok?after", name="after")], host=target.url, csv_sources=sources, **more)
    assert done.counts() == {"plain": 3, "row": 3, "after": 2}
    assert [hit.outcome for hit in done.hits if hit.flags & HitFlag.LAST] == [Outcome.TEMPLATE]


TURN = {"rps": 0.001, "key": "k"}
RETRIED = {"request_url": "/status/503", "retry": {"base_delay": 60, "max_delay": 60}}
LATE: list[tuple[str, list[dict[str, Any]], list[Outcome]]] = [
    ("answers are waited for", [{"request_url": "/delay/1200"}, {}], [Outcome.OK, Outcome.OK]),
    ("until the drain is over", [{"request_url": "/delay/60000"}, {}], [Outcome.UNFINISHED, Outcome.OK]),
    ("of the other step, too", [{}, {"request_url": "/delay/60000"}], [Outcome.OK, Outcome.UNFINISHED]),
    ("no retry begins any more", [{}, RETRIED], [Outcome.OK, Outcome.STATUS]),
    ("no step waits for its turn", [{"request_url": "/delay/1200"}, {"throttle": TURN}, {"throttle": TURN}], [Outcome.OK, Outcome.OK]),
]


@pytest.mark.parametrize("paced", [False, True], ids=["users", "a rate"])
@pytest.mark.parametrize(("steps", "wanted"), [row[1:] for row in LATE], ids=[row[0] for row in LATE])
def test_the_end_of_the_load(steps: list[dict[str, Any]], wanted: list[Outcome], paced: bool, target: Target, tmp_path: Path) -> None:
    batch = {"batch": [{**get("/ok"), **step, "name": f"b{at}"} for at, step in enumerate(steps)]}
    how: dict[str, Any] = {"iterations": None, "test_time": 1}
    if paced:
        how = {"rate": {"mode": "stages", "stages": [{"duration": 0.1, "rps": 10}, {"duration": 0.9, "rps": 0}]}, "user_count": 1}
    more = {"drain_time": 1 if Outcome.UNFINISHED in wanted else 10, "max_failure_rate": 1}
    done = load(tmp_path, [batch, get("/ok", name="after")], host=target.url, **how, **more)
    assert outcomes(done) == {f"b{at}": outcome for at, outcome in enumerate(wanted)}, done.hits
    passes = done.summary["passes"]
    assert (passes["started"], passes["cut_off"]) == (1, 1)
    assert done.summary["totals"]["replaced"] == 0, "a retry that never comes replaces nothing"


def test_users_who_leave_in_the_middle_go_when_their_batch_is_done(target: Target, tmp_path: Path) -> None:
    """A shape takes them away one second later; new ones come in their place, with cookies and connections of their own."""
    stages = [
        {"duration": 1, "users": 3, "spawn_rate": 100},
        {"duration": 1, "users": 0, "spawn_rate": 100},
        {"duration": 1, "users": 3, "spawn_rate": 100},
    ]
    steps = [
        get("/whoami", name="new", assertions=[{"type": "json_path", "path": "sid", "value": None}]),
        post("/login"),
        {
            "batch": [
                get("/delay/100?a", name="a"),
                get("/delay/100?b", name="b"),
                get("/whoami", name="c", assertions=[{"type": "contains", "value": "s-"}]),
            ]
        },
        get("/delay/60000", name="held", timeout=0.1),
    ]
    done = load(
        tmp_path,
        steps,
        host=target.url,
        load_shape="stages",
        shape_config={"stages": stages},
        iterations=None,
        user_count=3,
        test_time=3,
        max_failure_rate=1,
    )
    counts = done.counts()
    assert counts["a"] == counts["b"] == counts["c"]
    assert all(hit.outcome is Outcome.OK for hit in done.hits if hit.name in "abc"), done.hits
    first = {hit.user: hit.outcome for hit in reversed(done.hits) if hit.name == "new"}
    assert len(first) == 6
    assert set(first.values()) == {Outcome.OK}, "no cookie of another user"
