"""A coordinator and its agents make one load: every hit that the target received is in the run folder, and only those."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.records import stop_watch
from loadflow.engine.records.judge import EndReason
from tests.fleet.machines import agents, master
from tests.load.harness import get
from tests.targets.fixture import Target


@pytest.mark.parametrize("user", ["native", "fast_http_user"])
def test_agents_of_one_run_make_it_and_end(user: str, target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    count = 2
    with agents(tmp_path, port, count) as commands:
        done = master(tmp_path, port, count, [get("/ok"), get("/status/500")], user=user, host=target.url, user_count=11, iterations=20)
        assert [one.wait() for one in commands] == [0] * count
    assert done.error is None
    assert target.counts() == {"/ok": 220, "/status/500": 220}
    assert done.counts() == {"/ok": 220, "/status/500": 220}
    assert done.summary["totals"]["requests"] == 440
    assert done.summary["totals"]["failures"] == 220
    assert [worker["state"] for worker in done.summary["workers"]] == ["finished"] * count
    assert sum(worker["hits"] for worker in done.summary["workers"]) == 440
    assert sum(one.has_said("hits, all received by the coordinator") for one in commands) == count
    assert sum(snapshot.delta.hits for snapshot in done.snapshots) <= 440


@pytest.mark.parametrize("user", ["native", "fast_http_user"])
@pytest.mark.parametrize(
    "pace",
    [
        pytest.param({"user_count": 4, "iterations": None, "test_time": None}, id="users"),
        pytest.param({"rate": 6}, marks=pytest.mark.long, id="a rate"),
    ],
)
def test_agents_end_a_load_that_knows_enough_as_its_planned_time_would(
    user: str, pace: dict[str, Any], target: Target, tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hits in flight have all of the drain: none fails, and what agents received is what they are counted for."""

    def known(rule: Any, units: Any, unit_s: int, look: int) -> Any:
        return [stop_watch.Reached(width, 10.0, 0.1, "") for width in rule.widths], 0

    monkeypatch.setattr(stop_watch, "reached_of", known)
    monkeypatch.setattr(stop_watch, "LOOK_EVERY_S", 1)
    monkeypatch.setattr(stop_watch, "LEAST_S", 1)
    target.reset()
    with agents(tmp_path, port, 2) as commands:
        stop = {"p95": "±5%", "at_most": "10m"}
        done = master(tmp_path, port, 2, [get(f"{target.url}/delay/2500")], user=user, **pace, stop_when=stop, drain_time=30)
        assert [one.wait() for one in commands] == [0, 0]
    assert done.error is None
    end = done.run.end()
    assert (end.reason, end.ran_s < 100) == (EndReason.PRECISE, True)
    assert done.summary["verdict"]["verdict"] == "passed"
    assert done.summary["totals"]["failures"] == 0
    assert done.summary["totals"]["requests"] == target.counts()["/delay/2500"]
    assert [worker["state"] for worker in done.summary["workers"]] == ["finished", "finished"]
