"""A rate that agents make together: every pass that is due is one agent's, sent and recorded, or dropped and counted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from loadflow.engine.records.outcome import Outcome
from tests.fleet.machines import agents, master
from tests.load.harness import Outcomes, get
from tests.targets.fixture import Target


def due_ns(done: Outcomes) -> list[int]:
    """When the passes of the whole rate are due, since the start of the load."""
    assert done.run.pace is not None
    return list(done.run.pace.arrivals())


def test_the_target_receives_what_was_due_less_what_was_dropped(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    weights = {"/ok?a": 2, "/ok?b": 1}
    steps = {"mode": "weighted", "tasks": [get(path, name=path, weight=weight) for path, weight in weights.items()]}
    with agents(tmp_path, port, 2) as commands:
        done = master(tmp_path, port, 2, steps, host=target.url, rate=100, test_time=3)
        assert [one.wait() for one in commands] == [0, 0]
    assert done.error is None
    passes = done.run.totals().passes
    received = Counter(record.target for record in target.records())
    assert sum(received.values()) == passes.due - passes.dropped == passes.started == len(done.rows)
    assert passes.due == 300
    assert done.counts() == received
    # the agents share out one order of passes: no pass is two agents', and due where the rate says
    recorded = done.rows["due_ns"].tolist()
    assert len(set(recorded)) == len(recorded)
    assert set(recorded) <= set(due_ns(done))
    assert [worker["state"] for worker in done.summary["workers"]] == ["finished"] * 2
    if not passes.dropped:  # a machine that stands still for seconds may be too late for some
        assert received == {"/ok?a": 200, "/ok?b": 100}
        assert [worker["hits"] for worker in done.summary["workers"]] == [150, 150]


def test_agents_whose_users_are_all_held_drop_what_is_too_late_and_count_it(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    limits = {"max_in_flight": 4, "user_count": 8, "max_lateness": 0.1, "drain_time": 0.2, "max_failure_rate": 1}
    with agents(tmp_path, port, 2):
        done = master(tmp_path, port, 2, [get("/delay/60000")], host=target.url, rate=100, test_time=1, **limits)
    assert target.counts() == {"/delay/60000": 4}
    assert [hit.outcome for hit in done.hits] == [Outcome.UNFINISHED] * 4
    passes = done.run.totals().passes
    assert (passes.due, passes.started, passes.dropped) == (100, 4, 96)
    assert done.summary["verdict"]["verdict"] == "inconclusive"
    assert "4 of 100 due passes sent" in done.summary["verdict"]["reasons"][0]
