"""Arrival rates: what is due is exact, what can't start in time is late or dropped and counted, and a freeze shows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadflow.engine.load.start import start_test
from loadflow.engine.plan.pace import LATE_NS, Pace
from loadflow.engine.plan.target import TargetRules
from loadflow.engine.records.fingerprint import fingerprint, unlike
from loadflow.engine.records.outcome import HitFlag, Outcome
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.session.observer import Observer
from loadflow.engine.session.session import Session, use_session
from loadflow.errors import CommandError, Interrupted
from tests.load import harness
from tests.load.harness import Outcomes, get, load
from tests.targets.fixture import Target
from tests.targets.frozen import frozen_for_a_second


@pytest.fixture(params=("fast_http_user", "native"), autouse=True)
def made_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes the load keeps the pace."""
    monkeypatch.setattr(harness, "DEFAULT", request.param)


def pace_of(done: Outcomes) -> Pace:
    pace = done.run.pace
    assert pace is not None
    return pace


@pytest.mark.parametrize("processes", [1, 2])
def test_every_pass_that_is_due_is_sent_and_recorded_with_the_time_it_was_due(processes: int, target: Target, tmp_path: Path) -> None:
    target.reset()
    rate = {"mode": "ramp", "rps": 150, "ramp_up": 1, "duration": "0.5s"}
    done = load(tmp_path, [get("/ok")], host=target.url, rate=rate, max_in_flight=150, processes=processes)
    assert sorted(done.rows["due_ns"].tolist()) == list(pace_of(done).arrivals())
    assert len(done.rows) == 150 == target.counts()["/ok"]  # ⌊150·1/2 + 150·0.5⌋
    assert (done.rows["start_ns"] >= done.rows["due_ns"]).all()
    assert done.summary["verdict"]["verdict"] == "passed"
    passes = done.run.totals().passes
    assert (passes.due, passes.started, passes.dropped) == (150, 150, 0)
    assert done.run.facts.planned_s == 1.5


def test_random_gaps_are_those_of_the_seed_over_all_processes(target: Target, tmp_path: Path) -> None:
    rate = {"mode": "constant", "rps": 150, "duration": 1, "spacing": "poisson"}
    done = load(tmp_path, [get("/ok")], host=target.url, rate=rate, seed=5, processes=2, max_in_flight=200)
    assert pace_of(done).seed == 5
    assert sorted(done.rows["due_ns"].tolist()) == list(pace_of(done).arrivals())
    unseeded = load(tmp_path, [get("/ok")], host=target.url, rate={**rate, "rps": 20})
    assert pace_of(unseeded).seed is not None
    assert sorted(unseeded.rows["due_ns"].tolist()) == list(pace_of(unseeded).arrivals())


@pytest.mark.parametrize("processes", [1, 3])
def test_the_shares_of_weighted_steps_are_exact_over_all_processes(processes: int, target: Target, tmp_path: Path) -> None:
    target.reset()
    weights = {"/ok?a": 5, "/ok?b": 3, "/ok?c": 1}
    steps = {"mode": "weighted", "tasks": [get(path, name=path, weight=weight) for path, weight in weights.items()]}
    load(tmp_path, steps, host=target.url, rate=91, test_time=1, max_in_flight=90, processes=processes)
    counts = Counter(record.target for record in target.records())
    assert sum(counts.values()) == 91
    assert {path: abs(counts[path] - 91 * weight / 9) < 1 for path, weight in weights.items()} == dict.fromkeys(weights, True)


def test_a_pass_is_due_and_its_later_steps_when_the_one_before_is_done(target: Target, tmp_path: Path) -> None:
    target.reset()
    steps = [get("/ok", name="never", run_if=False), get("/ok", name="first"), get("/ok", name="second"), get("/ok", name="third")]
    # the load ends between the steps of a pass, so the last one gets a second in which nothing else is due
    rate = {"mode": "stages", "stages": [{"duration": 0.5, "rps": 40}, {"duration": 1, "rps": 0}]}
    done = load(tmp_path, steps, host=target.url, rate=rate)
    names = np.array([hit.name for hit in done.hits])
    first, later = done.rows[names == "first"], done.rows[names != "first"]
    assert sorted(first["due_ns"].tolist()) == list(pace_of(done).arrivals())
    assert Counter(names) == {"first": 20, "second": 20, "third": 20}
    assert (later["due_ns"] == later["start_ns"]).all()
    assert done.summary["latency_service"]["count"] == 60


def test_users_take_turns_and_keep_what_is_theirs(target: Target, tmp_path: Path) -> None:
    steps = [
        {
            "method": "post",
            "request_url": "/login",
            "skip_if": "${session.token}",
            "extract": [{"var": "token", "path": "token", "scope": "session"}],
        },
        get("/whoami", assertions=[{"type": "json_path", "path": "authorization", "value": "${session.token}"}],
            headers={"Authorization": "${session.token}"}),
    ]  # fmt: skip
    target.reset()
    done = load(tmp_path, steps, host=target.url, rate=60, test_time=0.5, max_in_flight=6)
    assert {hit.outcome for hit in done.hits} == {Outcome.OK}
    by_user = Counter(hit.user for hit in done.hits if hit.name == "/whoami")
    assert target.counts()["/login"] == len(by_user) == 6
    assert sum(by_user.values()) == done.run.totals().passes.started


def test_what_waits_for_a_free_user_is_late_by_the_time_it_waited(target: Target, tmp_path: Path) -> None:
    done = load(tmp_path, [get("/delay/60")], host=target.url, rate=50, test_time=1, max_in_flight=1, rate_tolerance=1, max_lateness=30)
    rows = done.rows
    late = rows["start_ns"] - rows["due_ns"] > LATE_NS
    assert (late == (rows["flags"] & HitFlag.LATE != 0)).all()
    assert done.summary["totals"]["late"] == late.sum() >= 5
    overall, service = done.summary["latency_overall"], done.summary["latency_service"]
    assert overall["max_ms"] == (rows["end_ns"] - rows["due_ns"]).max() / 1e6
    assert service["max_ms"] == (rows["end_ns"] - rows["start_ns"]).max() / 1e6
    assert overall["max_ms"] > service["max_ms"]
    assert service["count"] == overall["count"]
    assert "late" in {warning["code"] for warning in done.summary["warnings"]}
    # one user, 60 ms each: what is left waits until the load's end and no longer
    passes = done.run.totals().passes
    assert passes.due == 50 == passes.started + passes.dropped
    assert passes.started == len(rows) < 20
    assert done.summary["verdict"]["verdict"] == "passed"


@pytest.mark.parametrize("processes", [1, 2])
def test_a_target_that_holds_its_answers_fills_the_users_and_the_rest_is_dropped(processes: int, target: Target, tmp_path: Path) -> None:
    target.reset()
    limits = {"max_in_flight": 4, "user_count": 8, "max_lateness": 0.1, "drain_time": 0.2, "max_failure_rate": 1}
    done = load(tmp_path, [get("/delay/60000")], host=target.url, rate=100, test_time=1, processes=processes, **limits)
    assert target.counts() == {"/delay/60000": 4}
    assert [hit.outcome for hit in done.hits] == [Outcome.UNFINISHED] * 4
    passes = done.run.totals().passes
    assert (passes.due, passes.started, passes.dropped) == (100, 4, 96)
    assert sum(snapshot.delta.passes.dropped for snapshot in done.snapshots) <= 96
    assert done.summary["verdict"]["verdict"] == "inconclusive"
    assert "4 of 100 due passes sent" in done.summary["verdict"]["reasons"][0]
    assert done.run.fold().passes == passes


def test_a_throttle_moves_the_time_at_which_a_hit_is_due(target: Target, tmp_path: Path) -> None:
    """The script itself asks for that wait, so it is neither lateness nor the target's."""
    steps = [get("/ok", throttle={"rps": 20})]
    rate = {"mode": "stages", "stages": [{"duration": 0.2, "rps": 50}, {"duration": 1, "rps": 0}]}
    done = load(tmp_path, steps, host=target.url, rate=rate)
    due = np.sort(done.rows["due_ns"])
    assert len(due) == 10
    assert (np.diff(due) > 0.9 * 1e9 / 20).all()


def test_a_rate_above_what_the_target_allows_is_refused(target: Target, tmp_path: Path) -> None:
    rules = TargetRules(base_url=target.url, max_rate_per_s=40)
    with use_session(Session(runs_dir=tmp_path, target=rules)), pytest.raises(CommandError) as caught:
        start_test({"user": "fast_http_user"}, tasks=[get("/ok")], rate={"mode": "ramp", "rps": 41})
    assert "rate: reaches 41/s, and the target may be asked 40 times a second at most" in str(caught.value)


def test_at_most_so_many_passes_are_in_flight_and_all_users_have_their_turn(target: Target, tmp_path: Path) -> None:
    limits = {"max_in_flight": 3, "user_count": 9, "rate_tolerance": 1}
    done = load(tmp_path, [get("/delay/30")], host=target.url, rate=100, test_time=0.6, **limits)
    rows = done.rows
    begins_and_ends = sorted([*((at, 1) for at in rows["start_ns"].tolist()), *((at, -1) for at in rows["end_ns"].tolist())])
    assert max(np.cumsum([change for _, change in begins_and_ends])) <= 3
    users = rows["user"][np.argsort(rows["start_ns"])]
    assert len(set(users[:9].tolist())) == 9


class StopAfterASecond(Observer):
    """Asks for the end once a second was counted."""

    def __init__(self) -> None:
        self.seen = False

    def snapshot(self, run: Run, snapshot: Snapshot) -> None:
        self.seen = True

    def stop_requested(self) -> str:
        return "enough" if self.seen else ""


def test_an_early_end_asks_for_no_more_than_was_due_by_then(target: Target, tmp_path: Path) -> None:
    with use_session(Session(runs_dir=tmp_path, observers=[StopAfterASecond()])) as session:
        with pytest.raises(Interrupted):
            start_test({"user": "fast_http_user"}, tasks=[get("/ok")], host=target.url, rate=50, test_time=60)
        run = session.runs[-1]
    passes = run.totals().passes
    due = sum(at <= run.end().ran_s * 1e9 for at in Pace.from_json(run.facts.plan["pace"]).arrivals())
    assert passes.due == due == passes.started + passes.dropped
    assert passes.started == len(run.hits())


class Faster(Observer):
    """Asks for another rate each time that `after` more seconds were counted."""

    def __init__(self, *factors: float) -> None:
        self.wanted = [*factors]
        self.asked = False

    def snapshot(self, run: Run, snapshot: Snapshot) -> None:
        self.asked = True

    def rate_factor(self) -> float:
        if not (self.asked and self.wanted):
            return 1.0
        self.asked = False
        return self.wanted.pop(0)


CHANGES = [
    ("faster", [2.0], {"rate": 40}),
    ("slower, then faster", [0.5, 3.0], {"rate": 40}),
    ("with random gaps", [2.0], {"rate": {"mode": "constant", "rps": 40, "spacing": "poisson"}, "seed": 4}),
    ("after the last pass", [20.0], {"rate": {"mode": "constant", "rps": 0.25}}),
]


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(("factors", "rate"), [one[1:] for one in CHANGES], ids=[one[0] for one in CHANGES])
def test_a_rate_that_is_changed_while_it_runs_is_as_exact(
    factors: list[float], rate: dict[str, Any], processes: int, target: Target, tmp_path: Path
) -> None:
    watching, before = Faster(*factors), target.counts().get("/ok", 0)
    with use_session(Session(runs_dir=tmp_path, observers=[watching])) as session:
        summary = start_test(
            harness.detail(harness.DEFAULT), tasks=[get("/ok")], host=target.url, **rate, test_time=8, processes=processes, rate_tolerance=1
        )
        run = session.runs[-1]
    assert watching.wanted == []
    pace = Run.open(run.folder).pace
    assert pace is not None
    assert [factor for _, factor in pace.changes] == factors
    rows = run.hits()
    assert sorted(rows["due_ns"].tolist()) == pytest.approx(list(pace.arrivals()), abs=2)
    assert len(rows) == pace.hits if "spacing" not in str(rate) else len(rows) > 300
    passes = run.totals().passes
    assert passes.balanced
    assert passes.due == passes.started == len(rows) == target.counts()["/ok"] - before
    assert [row.passes.due for row in run.seconds()][:8] == pytest.approx(
        np.histogram(rows["due_ns"], bins=np.arange(9) * 10**9)[0].tolist(), abs=1
    )
    assert "rate-changed" in [warning["code"] for warning in summary["warnings"]]
    assert summary["verdict"]["verdict"] == "passed"


def test_a_run_whose_rate_was_changed_is_like_no_other(target: Target, tmp_path: Path) -> None:
    for watching in ([], [Faster(2.0)]):
        with use_session(Session(runs_dir=tmp_path, observers=watching)):
            start_test(
                harness.detail(harness.DEFAULT), tasks=[get("/ok")], host=target.url, rate=20, test_time=5, label="night", rate_tolerance=1
            )
    usual, changed = sorted((Run.open(path.parent) for path in tmp_path.glob("*/run.json")), key=lambda run: run.facts.started_unix_s)
    assert fingerprint(usual.facts) != fingerprint(changed.facts)
    assert any("pace" in one for one in unlike(usual.facts, changed.facts))


def test_a_freeze_shows_at_a_rate_and_closed_loop_users_hide_it(tmp_path: Path) -> None:
    """A quarter of the time nothing is answered. Who arrives then waits half a second on average; one in ten of all 0.6 s or more."""
    with frozen_for_a_second() as url:
        paced = load(tmp_path / "paced", [get("/")], host=url, rate=50, test_time=4, max_in_flight=10, max_failure_rate=1)
    with frozen_for_a_second() as url:
        closed = load(tmp_path / "closed", [get("/")], host=url, user_count=2, iterations=None, test_time=4)
    response, service = paced.summary["latency_overall"], paced.summary["latency_service"]
    assert response["count"] == 200
    assert response["p90_ms"] > 500
    assert response["p99_ms"] > 900
    # two users can wait for two answers only, among the thousands that came before and after
    assert closed.summary["latency_overall"]["max_ms"] > 900
    assert closed.summary["latency_overall"]["p99_ms"] < 300
    # ten were in flight as it froze; measured from sending, the other forty that were due would not have waited at all
    assert service["p90_ms"] < 500
    assert paced.summary["verdict"]["verdict"] == "passed"


NO_PASS = "LD_start_test.rate: no pass is due within the"
WRONG = [
    ("no pass is due", {"rate": 0.2, "test_time": 4}, f"{NO_PASS} 4 s of this rate; make it higher or longer"),
    ("cut to nothing", {"rate": {"mode": "ramp", "rps": 1, "ramp_up": 10}, "test_time": 1}, f"{NO_PASS} 1 s of this rate"),
    ("more at once than users", {"rate": 5, "max_in_flight": 60, "user_count": 55}, "max_in_flight: is more than user_count"),
    ("a process without a user", {"rate": 5, "max_in_flight": 1, "processes": 2}, "processes: are more than the passes"),
]


@pytest.mark.parametrize(("arguments", "said"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_refused_before_anything_is_sent(arguments: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError) as caught:
        load(tmp_path, [get("/")], host="http://127.0.0.1:9", **arguments)
    assert said in str(caught.value)
