"""A coordinator and its agents make one load: every hit that the target received is in the run folder, and only those."""

from __future__ import annotations

from pathlib import Path

import pytest

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
