"""When hits are due: exactly as the integral of the rate says, at any rate, at any time, over any number of processes."""

from __future__ import annotations

from fractions import Fraction
from heapq import merge
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadflow.engine.plan.pace import DueTimes, Pace, Segment, beyond, cut
from tests.examples import examples

NS = 10**9

rates = st.one_of(st.just(0.0), st.integers(0, 60).map(float), st.floats(0.01, 40).map(lambda rate: round(rate, 3)))
durations = st.one_of(st.integers(1, 4).map(float), st.floats(0.001, 3).map(lambda seconds: round(seconds, 6)), st.just(10 / 3))
segments = st.lists(st.builds(Segment, durations, rates, rates), min_size=1, max_size=4).map(tuple)


def written(value: float) -> Fraction:
    return Fraction(10, 3) if value == 10 / 3 else Fraction(str(value))


def due_by(parts: tuple[Segment, ...], at_ns: int) -> Fraction:
    """A(t), added up from the definition."""
    left, total = Fraction(at_ns, NS), Fraction(0)
    for part in parts:
        length, begin, end = written(part.duration_s), written(part.from_per_s), written(part.to_per_s)
        inside = min(max(left, Fraction(0)), length)
        total += begin * inside + (end - begin) * inside * inside / (2 * length)
        left -= length
    return total


def length_ns(parts: tuple[Segment, ...]) -> int:
    return int(sum(written(part.duration_s) for part in parts) * NS) + 1


@given(segments, st.data())
def test_the_count_in_any_window_is_the_difference_of_the_integral(parts: tuple[Segment, ...], data: st.DataObject) -> None:
    times = list(Pace(parts).arrivals())
    begin = data.draw(st.integers(0, length_ns(parts)))
    end = data.draw(st.integers(begin, length_ns(parts)))
    assert sum(begin < due <= end for due in times) == due_by(parts, end) // 1 - due_by(parts, begin) // 1


@given(segments)
def test_each_hit_is_due_at_the_first_nanosecond_at_which_the_integral_reaches_its_number(parts: tuple[Segment, ...]) -> None:
    pace = Pace(parts)
    for n in {1, 2, pace.hits // 2, pace.hits} - {0}:
        if n > pace.hits:
            continue
        due = pace.due_ns(n)
        assert due is not None
        assert due_by(parts, due) >= n > due_by(parts, due - 1)
    assert pace.due_ns(pace.hits + 1) is None


@given(segments)
def test_no_pace_exceeds_its_rate(parts: tuple[Segment, ...]) -> None:
    pace = Pace(parts)
    times = list(pace.arrivals())
    peak = max(written(rate) for part in parts for rate in (part.from_per_s, part.to_per_s))
    assert len(times) == pace.hits == due_by(parts, length_ns(parts)) // 1
    for reach in (1, 7):
        for begin, end in list(zip(times, times[reach:], strict=False))[:: max(1, len(times) // 20)]:
            assert reach <= due_by(parts, end) - due_by(parts, begin - 1) <= (end - begin + 1) * peak / NS


@given(segments, st.sampled_from(["even", "poisson"]), st.integers(1, 7), st.integers(0, 2**70))
@settings(max_examples=examples(25))
def test_the_processes_together_make_the_hits_that_one_would(parts: tuple[Segment, ...], spacing: str, count: int, seed: int) -> None:
    pace = Pace(parts, spacing, seed)  # type: ignore[arg-type]
    whole = list(pace.arrivals())
    shares = [list(pace.arrivals(index, count)) for index in range(count)]
    assert [whole[index::count] for index in range(count)] == shares
    assert list(merge(*shares)) == whole == sorted(whole)


@given(segments, st.sampled_from(["even", "poisson"]))
@settings(max_examples=examples(20))
def test_one_hit_is_due_when_the_walk_says_so(parts: tuple[Segment, ...], spacing: str) -> None:
    pace = Pace(parts, spacing, 11)  # type: ignore[arg-type]
    for n, due in enumerate(list(pace.arrivals())[:20], start=1):
        assert pace.due_ns(n) == due


@given(segments, durations)
def test_a_cut_pace_is_its_own_beginning(parts: tuple[Segment, ...], limit_s: float) -> None:
    whole, kept = Pace(parts), Pace(cut(parts, limit_s))
    # the border itself may move by a rounding of the rate at it
    before = [due for due in whole.arrivals() if due < limit_s * NS - 10]
    assert [due for due in kept.arrivals() if due < limit_s * NS - 10] == pytest.approx(before, abs=2)
    assert kept.duration_s == pytest.approx(min(limit_s, whole.duration_s))


@pytest.mark.parametrize(
    ("rate", "n", "due_ns"),
    [
        (0.2, 1, 5 * NS),
        (0.2, 120_960, 604_800 * NS),  # a week later, to the nanosecond
        (100_000.0, 1, 10_000),
        (100_000.0, 60_480_000_000, 604_800 * NS),
        (3.0, 1, 333_333_334),
        (3.0, 1_814_400, 604_800 * NS),
        (0.29, 29, 100 * NS),
        (33.333333333333336, 100, 3 * NS),
    ],
)
def test_a_steady_rate_has_no_drift(rate: float, n: int, due_ns: int) -> None:
    assert Pace((Segment(604_800.0, rate, rate),)).due_ns(n) == due_ns


@pytest.mark.parametrize(
    ("parts", "n", "due_s"),
    [
        ([(10, 0, 100)], 5, 1.0),  # √(2Un/P)
        ([(10, 0, 100), (60, 100, 100)], 500, 10.0),
        ([(10, 0, 100), (60, 100, 100)], 6500, 70.0),
        ([(10, 100, 0)], 500, 10.0),  # the rate is 0 as the last hit is due
        ([(10, 100, 0)], 375, 5.0),
        ([(5, 0, 0), (5, 1, 1)], 1, 6.0),
        ([(2.5, 20, 20), (2.5, 40, 40), (2.5, 60, 60), (2.5, 80, 80)], 500, 10.0),
    ],
)
def test_rates_that_change(parts: list[tuple[float, float, float]], n: int, due_s: float) -> None:
    assert Pace(tuple(Segment(*part) for part in parts)).due_ns(n) == due_s * NS


def test_a_pace_without_hits_has_no_first_one() -> None:
    for parts in ((), (Segment(10, 0, 0),), (Segment(4, 0.2, 0.2),)):
        assert list(Pace(parts).arrivals()) == []
        assert Pace(parts).due_ns(1) is None
        assert Pace(parts).hits == 0


def test_random_gaps_have_the_mean_and_the_spread_of_an_exponential() -> None:
    times = list(Pace((Segment(400, 100, 100),), "poisson", 7).arrivals())
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert len(times) == pytest.approx(40_000, rel=0.02)
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert mean == pytest.approx(1e7, rel=0.02)
    assert deviation == pytest.approx(mean, rel=0.03)
    assert sum(gap > 3e7 for gap in gaps) / len(gaps) == pytest.approx(0.0498, abs=0.005)


def test_random_gaps_follow_a_rate_that_changes() -> None:
    times = list(Pace((Segment(100, 0, 200),), "poisson", 3).arrivals())
    assert sum(due <= 50 * NS for due in times) == pytest.approx(2500, rel=0.1)
    assert len(times) == pytest.approx(10_000, rel=0.05)


def test_a_seed_gives_the_same_times_again_and_another_gives_others() -> None:
    """Written out, so that another engine can be held against them."""

    def first(seed: int) -> list[int]:
        return list(islice(Pace((Segment(60, 1, 1),), "poisson", seed).arrivals(), 4))

    assert first(42) == [298_992_625, 2_132_134_290, 3_410_108_451, 4_476_667_818]
    assert first(43) != first(42)


@given(segments, st.sampled_from(["even", "poisson"]), st.data())
@settings(max_examples=examples(25))
def test_the_number_that_is_due_by_a_time_is_that_of_the_times(parts: tuple[Segment, ...], spacing: str, data: st.DataObject) -> None:
    pace = Pace(parts, spacing, 5)  # type: ignore[arg-type]
    times, count = list(pace.arrivals()), pace.count()
    asked = [*sorted(data.draw(st.lists(st.integers(0, length_ns(parts)), max_size=4))), float("inf")]
    assert [count(at) for at in asked] == [sum(due <= at for due in times) for at in asked]


@given(segments, st.integers(0, 12))
def test_a_cut_and_what_is_beyond_it_are_the_whole(parts: tuple[Segment, ...], at_s: int) -> None:
    both = list(Pace((*cut(parts, at_s), *beyond(parts, at_s))).arrivals())
    assert both == pytest.approx(list(Pace(parts).arrivals()), abs=2)


WRITTEN = (Segment(3, 20, 20), Segment(2, 0, 0), Segment(5, 40, 80))


@given(
    st.sampled_from(["even", "poisson"]),
    st.integers(1, 3),
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from([0.25, 2 / 3, 1.5, 3.0])), min_size=1, max_size=3, unique_by=lambda one: one[0]),
    st.data(),
)
@settings(max_examples=examples(40))
def test_a_change_leaves_what_was_due_and_is_the_new_pace_from_then_on(
    spacing: str, count: int, changes: list[tuple[int, float]], data: st.DataObject
) -> None:
    first = Pace(WRITTEN, spacing, 5)  # type: ignore[arg-type]
    shares = [first.arrivals(index, count) for index in range(count)]
    due, made, pace = first.count(), [[] for _ in shares], first  # type: ignore[var-annotated]
    for at_s, factor in sorted(changes):
        for share, times in zip(shares, made, strict=True):
            times.extend(take_until(share, at_s * NS, ahead=data.draw(st.integers(0, 200))))
            del times[sum(time <= at_s * NS for time in times) :]  # an engine was that far ahead, and has not made them
        if data.draw(st.booleans()):
            assert due(at_s * NS) == sum(map(len, made))
        pace = pace.faster(factor, at_s)
        due.change(pace, at_s * NS)
        for share in shares:
            share.change(pace, at_s * NS)
    for share, times in zip(shares, made, strict=True):
        times.extend(share)
    whole = sorted(time for times in made for time in times)
    assert whole == pytest.approx(list(pace.arrivals()), abs=2)
    assert due(float("inf")) == len(whole)
    assert pace.changes == tuple(sorted(changes))


def take_until(share: DueTimes, at_ns: int, ahead: int) -> list[int]:
    """All that are due by `at_ns`, and so many more."""
    taken = []
    for time in share:
        taken.append(time)
        if time > at_ns and (ahead := ahead - 1) < 0:
            break
    return taken


def test_a_faster_pace_has_as_many_hits_as_its_rate_says() -> None:
    pace = Pace((Segment(10, 100, 100),)).faster(1.5, 4).faster(2.0, 8)
    assert pace.segments == (Segment(4, 100, 100), Segment(4, 150, 150), Segment(2, 300, 300))
    assert pace.hits == 400 + 600 + 600
    assert Pace.from_json(pace.to_json()) == pace


def test_its_json_form_is_lists_and_comes_back() -> None:
    pace = Pace((Segment(10, 0, 100), Segment(5, 50.5, 50.5)), "poisson", 9, 40, 1.5)
    data = pace.to_json()
    assert data == {
        "segments": [[10, 0, 100], [5, 50.5, 50.5]],
        "spacing": "poisson",
        "seed": 9,
        "max_in_flight": 40,
        "max_lateness_s": 1.5,
    }
    assert Pace.from_json(data) == pace
