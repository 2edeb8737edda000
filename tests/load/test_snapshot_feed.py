"""Whoever watches a load is told of each second once, whatever happens: the last one too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from loadflow.engine.load.snapshot_feed import SnapshotFeed
from loadflow.engine.load.start import start_test
from loadflow.engine.records.health import Health
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.records.totals import Totals
from loadflow.engine.session.observer import Observer
from loadflow.engine.session.session import Session, use_session
from tests.load.harness import Seconds, get
from tests.targets.fixture import Target


def seconds(*numbers: int) -> list[Snapshot]:
    return [Snapshot(number, 1_000.0 + number, Totals(), Health(), None) for number in numbers]


@pytest.mark.parametrize("broken", range(3))
def test_a_receiver_that_is_cut_off_costs_the_others_nothing(broken: int) -> None:
    """The one that an exception came out of is not told again; all others get all, in order, once."""
    told: list[list[int]] = [[], [], []]

    def receiver(index: int) -> Callable[[Snapshot], None]:
        def receive(snapshot: Snapshot) -> None:
            told[index].append(snapshot.second)
            if index == broken and snapshot.second == 1:
                raise KeyboardInterrupt

        return receive

    feed = SnapshotFeed([receiver(index) for index in range(3)])
    feed.send(seconds(0))
    with pytest.raises(KeyboardInterrupt):
        feed.send(seconds(1, 2))
    feed.send(seconds(3))
    assert told == [[0, 1, 2, 3]] * 3


class CutOff(Observer):
    """Ends the load as Ctrl-C does, out of the first second."""

    def snapshot(self, run: Run, snapshot: Snapshot) -> None:
        if snapshot.second == 0:
            raise KeyboardInterrupt


def test_an_interrupted_run_tells_of_every_hit_it_recorded(target: Target, tmp_path: Path) -> None:
    target.reset()
    watch = Seconds()
    with use_session(Session(runs_dir=tmp_path, observers=[CutOff(), watch])) as session, pytest.raises(KeyboardInterrupt):
        start_test({"user": "fast_http_user"}, user_count=2, spawn_rate=100, test_time=30, host=target.url, tasks=[get("/ok")])
    (run,) = session.runs
    assert [snapshot.second for snapshot in watch.snapshots] == list(range(len(watch.snapshots)))
    assert sum(snapshot.delta.hits for snapshot in watch.snapshots) == len(run.hits()) > 0
    assert [row.second for row in run.seconds()] == [snapshot.second for snapshot in watch.snapshots]
