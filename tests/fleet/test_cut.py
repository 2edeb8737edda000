"""A cut link between real networks: packets vanish, and no end of a connection is told."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from tests.fleet.machines import AgentCommand, InBackground, elsewhere
from tests.fleet.networks import hub
from tests.fleet.test_losses import RATE, books, received
from tests.load.harness import get
from tests.targets.fixture import Target
from tests.waiting import wait_for


def test_an_agent_behind_a_cut_link_is_silent_before_its_share_is_given_away_and_delivers_when_it_is_mended(
    target: Target, tmp_path: Path
) -> None:
    target.reset()
    with hub(tmp_path, 2) as there, ExitStack() as stack:
        far, *others = (AgentCommand(tmp_path, there.urls[link], "--slots", "1", token=None) for link in (1, 0, 0))
        for one in (far, *others):
            stack.callback(one.stop)
        far.says("waiting for work")
        load = InBackground(tmp_path, there.urls[0], 3, [get("/ok")], by=elsewhere, host=target.url, rate=RATE)
        wait_for("hits", lambda: received(target) > 150, 200)
        engine = far.engine
        there.cut(1)
        engine.wait(timeout=200)
        assert not any(one.has_said(" s on") for one in others)
        wait_for("another agent", lambda: any(one.has_said(" s on") for one in others), 200)
        there.mend(1)
        done = load.done
    assert far.has_said("nothing was heard of the coordinator")
    assert books(done, target)["lost"] > 0
    assert done.summary["totals"]["requests"] == received(target)
    assert done.summary["verdict"]["verdict"] == "inconclusive"


def test_when_the_link_of_the_run_is_cut_for_a_moment_the_load_goes_on_and_nothing_is_missing(target: Target, tmp_path: Path) -> None:
    target.reset()
    with hub(tmp_path, 2) as there, ExitStack() as stack:
        agents = [AgentCommand(tmp_path, there.urls[1], "--slots", "1", token=None) for _ in range(2)]
        for one in agents:
            stack.callback(one.stop)
        load = InBackground(tmp_path, there.urls[0], 2, [get("/ok")], by=elsewhere, host=target.url, rate={**RATE, "duration": 15})
        wait_for("hits", lambda: received(target) > 150, 200)
        there.cut(0)
        before = received(target)
        wait_for("more of the load", lambda: received(target) > before + 15, 200)
        there.mend(0)
        done = load.done
    assert done.error is None
    passes = done.summary["passes"]
    assert (passes["due"], passes["lost"]) == (750, 0)
    assert done.summary["totals"]["requests"] == received(target) == passes["started"]
    assert [worker["state"] for worker in done.summary["workers"]] == ["finished"] * 2
