"""A rate that workers share: together they make exactly the passes that are due, and a lost worker's are named as dropped."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from tests.cluster.machines import InBackground, master, workers
from tests.ends.processes import wait_for
from tests.load.harness import Outcomes, get
from tests.targets.fixture import Target

RATE: dict[str, Any] = {"user_count": 50, "spawn_rate": 10, "iterations": None, "max_in_flight": 200}  # the first three are the defaults


def due_of(done: Outcomes, shard: int) -> list[int]:
    """When the hits that worker `shard` delivered were due."""
    return sorted(due for number, rows in done.run.iter_hits() if number == shard for due in rows["due_ns"].tolist())


def test_the_workers_together_make_the_rate_and_each_its_own_half_of_the_passes(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    with workers(tmp_path, port, 2) as commands:
        done = master(tmp_path, port, 2, [get("/ok")], host=target.url, rate=200, test_time=3, **RATE)
        assert [one.wait() for one in commands] == [0, 0]
    assert done.error is None
    pace, passes = done.run.pace, done.run.totals().passes
    assert pace is not None
    assert passes.due == 600
    # a busy machine may drop some: they are counted, and nothing else is missing
    assert passes.started == passes.due - passes.dropped == len(done.rows) == target.counts()["/ok"]
    for shard in (0, 1):
        made = due_of(done, shard)
        assert len(set(made)) == len(made)
        assert set(made) <= set(pace.arrivals(shard, 2))
    assert passes.dropped == 0 or done.summary["verdict"]["verdict"] != "passed"


def test_the_passes_of_a_worker_that_is_killed_are_dropped_and_the_other_keeps_its_own(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    with workers(tmp_path, port, 2) as (first, second):
        loading = InBackground(tmp_path, port, 2, [get("/ok")], host=target.url, rate=100, test_time=4, worker_lost_timeout=2, **RATE)
        wait_for("hits", lambda: sum(target.counts().values()) > 60, 60)
        first.engine.kill()
        done = loading.done
        assert second.wait() == 0
    states = {worker["state"]: worker for worker in done.summary["workers"]}
    assert set(states) == {"lost", "finished"}
    pace, passes = done.run.pace, done.run.totals().passes
    assert pace is not None
    lost, other = ([worker["state"] for worker in done.summary["workers"]].index(state) for state in ("lost", "finished"))
    own, others = set(pace.arrivals(lost, 2)), set(pace.arrivals(other, 2))
    assert set(due_of(done, lost)) < own
    assert set(due_of(done, other)) <= others  # it took none of those that the lost one left
    assert (passes.due, passes.started + passes.dropped) == (400, 400)
    # what the lost one sent after it was last heard of may be missing in the records, never the other way round
    assert passes.dropped >= 200 - states["lost"]["hits"]
    assert len(done.rows) <= target.counts()["/ok"]
    assert done.summary["verdict"]["verdict"] == "inconclusive"
    reasons = " ".join(done.summary["verdict"]["reasons"])
    assert reasons.startswith(f"degraded: worker {states['lost']['id']} on ")
    assert "passes" in reasons, reasons
    assert Counter(hit.name for hit in done.hits).keys() == {"/ok"}
