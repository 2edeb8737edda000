"""Passes second by second: nothing that was due is lost or counted twice, whatever is told when."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadflow.engine.plan.pace import Pace, Segment
from loadflow.engine.records.passes import PassCount, Passes
from loadflow.engine.records.run import Run
from tests.builders import build_run, facts

TEN_A_SECOND = Pace((Segment(3, 10, 10),))


def total(parts: list[Passes]) -> Passes:
    whole = Passes()
    for part in parts:
        whole.merge(part)
    return whole


def test_each_second_has_what_was_due_in_it_and_what_was_told_at_its_end() -> None:
    count = PassCount(TEN_A_SECOND.count(), 1)
    count.told(0, 0, 9, 0, None)
    count.told(0, 1, 15, 3, None)
    assert [count.second(0), count.second(1)] == [Passes(10, 9, 0), Passes(10, 6, 3)]
    count.done(0, 20, 4, 3.001)
    assert [count.second(2), count.rest()] == [Passes(10, 0, 0), Passes(0, 5, 7)]
    assert count.rest() == Passes()


def test_what_still_waited_at_the_end_was_dropped() -> None:
    count = PassCount(TEN_A_SECOND.count(), 1)
    count.done(0, 12, 0, 3.0)
    assert count.rest() == Passes(30, 12, 18)


def test_a_load_that_ended_early_was_not_asked_for_more() -> None:
    count = PassCount(TEN_A_SECOND.count(), 1)
    count.told(0, 0, 10, 0, None)
    count.told(0, 1, 12, 0, 1.25)  # the drain goes on, the load does not
    count.told(0, 2, 12, 0, 1.25)
    assert [count.second(second) for second in range(3)] == [Passes(10, 10, 0), Passes(2, 2, 0), Passes()]
    count.done(0, 12, 0, 1.25)
    assert count.rest() == Passes()


def test_a_lost_process_leaves_no_made_up_numbers() -> None:
    count = PassCount(TEN_A_SECOND.count(), 2)
    count.told(0, 0, 5, 0, None)
    count.told(1, 0, 4, 1, None)
    assert count.second(0) == Passes(10, 9, 1)
    count.done(0, 15, 0, 3.0)
    assert count.rest() == Passes(0, 10, 0)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=4), st.data())
def test_the_seconds_add_up_to_the_end_whatever_came_between(steps: list[tuple[int, int]], data: st.DataObject) -> None:
    count = PassCount(TEN_A_SECOND.count(), 2)
    sums = {0: (0, 0), 1: (0, 0)}
    seconds = []
    for second, (more, lost) in enumerate(steps):
        for shard in (0, 1):
            sums[shard] = (sums[shard][0] + more, sums[shard][1] + lost)
            if data.draw(st.booleans()):  # a busy process leaves a second out
                count.told(shard, second, *sums[shard], None)
        seconds.append(count.second(second))
    for shard in (0, 1):
        count.done(shard, *sums[shard], 3.0)
    started = sum(one[0] for one in sums.values())
    assert total([*seconds, count.rest()]) == Passes(30, started, 30 - started)


def test_they_survive_on_disk_also_when_the_run_was_cut_off(tmp_path: Path) -> None:
    own = facts(plan={"pace": TEN_A_SECOND.to_json()})
    run = build_run(tmp_path / "run", run_facts=own, cut_off=True)
    lines = (run.folder / "snapshots.ndjson").read_text(encoding="utf-8").splitlines()
    (run.folder / "snapshots.ndjson").write_text(lines[0][:-1] + ', "passes": {"due": 10, "started": 8, "dropped": 2}}\n', encoding="utf-8")
    read = Run.open(run.folder)
    assert read.totals().passes == Passes(10, 8, 2)
    assert next(read.seconds()).passes == Passes(10, 8, 2)
    assert read.pace == TEN_A_SECOND


@pytest.mark.parametrize(("passes", "share"), [(Passes(), 1.0), (Passes(10, 10), 1.0), (Passes(10, 7, 3), 0.7), (Passes(10, 0, 10), 0.0)])
def test_the_share_that_was_achieved(passes: Passes, share: float) -> None:
    assert passes.achieved == share
