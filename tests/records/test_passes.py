"""The books of passes: nothing that was due is lost or counted twice, whatever is told when."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadflow.engine.plan.pace import Pace, Segment
from loadflow.engine.records.passes import PassCount, Passes, closed_passes, lost_passes
from loadflow.engine.records.run import Run
from tests.builders import build_run, facts

TEN_A_SECOND = Pace((Segment(3, 10, 10),))


def told(started: int, dropped: int = 0, cut_off: int = 0, due: int | None = None) -> Passes:
    """An engine's own sums, none of its passes under way."""
    return Passes(started + dropped if due is None else due, started, dropped, started - cut_off, cut_off)


def test_each_second_has_what_was_due_in_it_and_what_was_told_at_its_end() -> None:
    count = PassCount(TEN_A_SECOND.count(), 1)
    count.told(0, 0, told(9), None)
    count.told(0, 1, told(15, 3), None)
    assert [count.second(0), count.second(1)] == [Passes(10, 9, 0, 9), Passes(10, 6, 3, 6)]
    count.done(0, told(20, 10), 3.001)
    assert [count.second(2), count.rest({})] == [Passes(10), Passes(0, 5, 7, 5)]
    assert count.rest({}) == Passes()


def test_what_an_engine_forgets_is_no_balance() -> None:
    """The parent does not make up what it was not told: that is how a mistake shows."""
    count = PassCount(TEN_A_SECOND.count(), 1)
    count.done(0, told(12, 17), 3.0)
    assert (rest := count.rest({})) == Passes(30, 12, 17, 12)
    assert not rest.balanced


def test_a_load_that_ended_early_was_not_asked_for_more() -> None:
    count = PassCount(TEN_A_SECOND.count(), 1)
    count.told(0, 0, told(10), None)
    count.told(0, 1, told(12), 1.25)  # the drain goes on, the load does not
    count.told(0, 2, told(12), 1.25)
    assert [count.second(second) for second in range(3)] == [Passes(10, 10, 0, 10), Passes(2, 2, 0, 2), Passes()]
    count.done(0, told(12), 1.25)
    assert count.rest({}) == Passes()


def test_what_became_due_for_a_process_that_had_ended_while_others_went_on_is_dropped() -> None:
    count = PassCount(TEN_A_SECOND.count(), 2)
    count.done(0, told(5), 1.0)
    count.done(1, told(10), 2.05)
    assert count.rest({}) == Passes(20, 15, 5, 15)


def test_a_lost_process_takes_its_passes_with_it() -> None:
    count = PassCount(TEN_A_SECOND.count(), 2)
    count.told(0, 0, told(5), None)
    count.told(1, 0, Passes(5, 4, 0, 3), None)
    assert count.second(0) == Passes(10, 9, 0, 8)
    count.done(0, told(15), 3.0)
    count.done(1, Passes(5, 4, 0, 3), 1.0, lost=True)
    assert (rest := count.rest({0: 15, 1: 7})) == Passes(20, 13, 0, 10, 4, 8)  # it began three more after that word, by its rows
    assert Passes.merged([Passes(10, 9, 0, 8), rest]).balanced


def test_a_process_that_says_nothing_any_more_is_lost_too() -> None:
    count = PassCount(TEN_A_SECOND.count(), 2)
    count.told(0, 0, told(5), None)
    count.told(1, 0, told(4, 1), None)
    seconds = [count.second(0)]
    count.done(0, told(15), 3.0)
    whole = Passes.merged([*seconds, count.rest({1: 3})])
    assert (whole.due, whole.lost) == (10, 0)  # nobody knows how long it went on


Ends = st.tuples(st.integers(0, 20), st.integers(0, 5), st.integers(0, 20))


@given(st.lists(st.tuples(Ends, Ends), min_size=1, max_size=4), st.integers(1, 3), st.data())
def test_the_seconds_add_up_to_the_end_whatever_came_between(
    steps: list[tuple[tuple[int, int, int], ...]], shards: int, data: st.DataObject
) -> None:
    """Each process deals out its own passes, in any portions; each second takes what it was told; the whole balances."""
    count = PassCount(TEN_A_SECOND.count(), shards)
    sums = {shard: Passes() for shard in range(shards)}
    seconds = []
    for second, portions in enumerate(steps[:3]):
        for shard in range(shards):
            made, dropped, cut_off = portions[shard % 2]
            left = (30 + shards - 1 - shard) // shards - sums[shard].due
            made = min(made, left)
            dropped = min(dropped, left - made)
            cut_off = min(cut_off, left - made - dropped)
            sums[shard].merge(Passes(made + dropped + cut_off, made + cut_off, dropped, made, cut_off))
            if data.draw(st.booleans()):  # a busy process leaves a second out
                count.told(shard, second, Passes.merged([sums[shard]]), None)
        seconds.append(count.second(second))
    for shard in range(shards):
        sums[shard].merge(told(0, (30 + shards - 1 - shard) // shards - sums[shard].due))
        count.done(shard, sums[shard], 3.0)
    whole = Passes.merged([*seconds, count.rest({})])
    assert whole == Passes.merged(sums.values())
    assert (whole.due, whole.balanced) == (30, True)


@given(st.lists(st.integers(0, 10), min_size=1, max_size=3), st.integers(1, 3), st.integers(0, 2), st.integers(0, 10), st.integers(0, 5))
def test_a_process_may_be_lost_at_any_moment(portions: list[int], shards: int, victim: int, unwritten: int, unsaid: int) -> None:
    """Whatever it told, and whatever rows it wrote before or after that: the books balance, and its rows are its passes."""
    count, victim = PassCount(TEN_A_SECOND.count(), shards), victim % shards
    shares = [(30 + shards - 1 - shard) // shards for shard in range(shards)]
    sums, seconds = Passes(), []
    for second, portion in enumerate(portions):
        portion = min(portion, shares[victim] - sums.due)
        sums.merge(Passes(portion, portion, 0, portion - portion // 3, portion // 3))
        for shard in range(shards):
            count.told(shard, second, Passes.merged([sums]) if shard == victim else Passes(), None)
        seconds.append(count.second(second))
    begun = max(sums.made + sums.cut_off, min(shares[victim], sums.started + unsaid) - unwritten)
    for shard in range(shards):
        count.done(shard, sums if shard == victim else told(shares[shard]), 3.0, lost=shard == victim)
    whole = Passes.merged([*seconds, count.rest({victim: begun})])
    assert whole.balanced, whole
    assert whole.started == begun + 30 - shares[victim]
    assert whole.due == (30 if shards > 1 else whole.due)


CLOSED = [
    ("each is due when it starts", [told(7, 3), told(2, cut_off=1)], None, Passes(9, 9, 0, 8, 1)),
    ("so many were asked for and made", [told(10), told(10)], 20, Passes(20, 20, 0, 20)),
    ("the rest never began", [told(10), told(7, 1)], 20, Passes(20, 17, 3, 17)),
    ("users that were shared out anew made more", [told(12)], 10, Passes(12, 12, 0, 12)),
    ("one process was lost with what it had", [told(10), lost_passes(told(3), 4)], 20, Passes(20, 14, 0, 13, 1, 6)),
    ("what a lost one had begun was due, and is lost", [told(10), lost_passes(Passes(7, 6, 0, 4), 5)], None, Passes(17, 15, 0, 14, 1, 2)),
    ("one that was under way when its engine was lost was cut off", [Passes(5, 5, 0, 4)], None, Passes(5, 5, 0, 4, 1)),
]


@pytest.mark.parametrize(("parts", "asked", "books"), [row[1:] for row in CLOSED], ids=[row[0] for row in CLOSED])
def test_the_books_of_users_in_a_closed_loop(parts: list[Passes], asked: int | None, books: Passes) -> None:
    assert closed_passes(parts, asked, books.lost) == books
    assert books.balanced


def test_they_survive_on_disk_also_when_the_run_was_cut_off(tmp_path: Path) -> None:
    own = facts(plan={"pace": TEN_A_SECOND.to_json()})
    run = build_run(tmp_path / "run", run_facts=own, cut_off=True)
    lines = (run.folder / "snapshots.ndjson").read_text(encoding="utf-8").splitlines()
    # as older releases wrote it
    (run.folder / "snapshots.ndjson").write_text(lines[0][:-1] + ', "passes": {"due": 10, "started": 8, "dropped": 2}}\n', encoding="utf-8")
    read = Run.open(run.folder)
    assert read.totals().passes == Passes(10, 8, 2, 8)
    assert next(read.seconds()).passes == Passes(10, 8, 2, 8)
    assert read.pace == TEN_A_SECOND


@pytest.mark.parametrize(("passes", "share"), [(Passes(), 1.0), (Passes(10, 10), 1.0), (Passes(10, 7, 3), 0.7), (Passes(10, 0, 10), 0.0)])
def test_the_share_that_was_achieved(passes: Passes, share: float) -> None:
    assert passes.achieved == share
