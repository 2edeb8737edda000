"""Whether tonight belongs to the nights before: against published values, and against nights whose truth is known."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from loadflow.engine.history import nights
from loadflow.engine.history.duet import DuetKind, duet_look, legs_of
from loadflow.engine.history.failures import as_many_by_chance
from loadflow.engine.history.nights import Found, Night, NightKind, baseline_of, detectable, judged, kruskal_wallis, onset
from tests.examples import examples

SD = 0.02
FLOOR = 0.02


def drawn(seed: int, count: int, shift: float = 0.0, sd: float = SD) -> list[Night]:
    return [
        Night(math.log1p(shift) + float(y), 0.005, number % 7) for number, y in enumerate(np.random.default_rng(seed).normal(0, sd, count))
    ]


def test_kruskal_wallis_is_that_of_the_textbook() -> None:
    """Without ties the statistic of 1…9 in three groups that do not overlap is 7.2 (Siegel & Castellan 1988): not beyond 9.21."""
    apart = [np.array([1.0, 2, 3]), np.array([4.0, 5, 6]), np.array([7.0, 8, 9])]
    assert not kruskal_wallis(apart)
    assert kruskal_wallis([*apart, np.array([10.0, 11, 12, 13]), np.array([14.0, 15, 16, 17])])
    assert not kruskal_wallis([np.ones(5), np.ones(5)])


@pytest.mark.parametrize(("t", "freedom", "p"), [(2.228, 10, 0.975), (1.812, 10, 0.95), (2.086, 20, 0.975), (-1.725, 20, 0.05)])
def test_a_t_value_as_a_normal_one_has_the_same_probability(t: float, freedom: int, p: float) -> None:
    """Published quantiles of Student's t."""
    assert NormalDist().cdf(nights._normal_of(t, freedom)) == pytest.approx(p, abs=0.001)


def test_the_middle_and_the_spread_do_not_follow_outliers() -> None:
    usual = drawn(1, 30)
    wild = [*usual[:27], Night(0.5), Night(0.6), Night(-0.7)]
    for found in (baseline_of(usual), baseline_of(wild)):
        assert abs(found.middle) < 0.012
        assert 0.012 < found.spread < 0.035


def test_a_spread_is_at_least_what_the_runs_own_seconds_waver() -> None:
    same = [Night(1.0, 0.03, 0)] * 12
    assert baseline_of(same).spread == 0.03
    assert baseline_of([Night(1.0)] * 12).spread == nights.LEAST_SPREAD


def test_weekdays_that_differ_have_a_middle_of_their_own() -> None:
    every = [Night(one.y + 0.05 * one.weekday, 0.0, one.weekday) for one in drawn(2, 30)]
    found = baseline_of(every)
    assert found.days[6] - found.days[0] > 0.1
    assert baseline_of(drawn(2, 30)).days == (baseline_of(drawn(2, 30)).middle,) * 7
    assert baseline_of(every[:27]).days == (baseline_of(every[:27]).middle,) * 7  # too few to say


def test_under_ten_nights_it_learns() -> None:
    assert judged(drawn(3, 9), [Night(1.0)], floor=FLOOR).kind is NightKind.LEARNING


def test_one_night_far_off_is_suspect_and_decides_nothing() -> None:
    found = judged(drawn(4, 30), [Night(0.3)], floor=FLOOR)
    assert found.kind is NightKind.SUSPECT
    assert found.change == pytest.approx(0.3, abs=0.02)


def test_a_change_below_the_floor_is_the_same() -> None:
    before = drawn(5, 30, sd=0.001)
    assert judged([*before, Night(0.015)], [Night(0.015), Night(0.015)], floor=FLOOR).kind is NightKind.SAME
    assert judged([*before, Night(0.04)], [Night(0.04)], floor=FLOOR).kind is NightKind.WORSE


def test_better_and_worse_follow_the_metric() -> None:
    up = [*drawn(6, 30), Night(0.2)]
    assert judged(up, [Night(0.2)], floor=FLOOR, sign=1).kind is NightKind.WORSE
    assert judged(up, [Night(0.2)], floor=FLOOR, sign=-1).kind is NightKind.BETTER


def simulated(seed: int, shift: float, length: int, at: int) -> tuple[int | None, Found | None, list[Night]]:
    """The first night that is called worse, of nights that are `shift` slower from `at` on."""
    every = drawn(seed, at) + drawn(seed + 10_000, length - at, shift)
    for tonight in range(10, length):
        found = judged(every[:tonight], [every[tonight]], floor=FLOOR)
        if found.kind is NightKind.WORSE:
            return tonight, found, every[: tonight + 1]
    return None, None, every


def test_an_unchanged_target_is_called_worse_on_less_than_one_night_in_a_hundred() -> None:
    chains = examples(40)
    alarms = sum(simulated(seed, 0.0, 50, 50)[0] is not None for seed in range(chains))
    assert alarms / (chains * 40) < 0.01


def test_a_rise_of_5_percent_is_found_within_three_nights_in_two_of_three_cases_or_more_and_its_first_night_named() -> None:
    chains, found, named = examples(60), 0, 0
    for seed in range(chains):
        at, what, every = simulated(seed, 0.05, 33, 30)
        if at is not None and at >= 30 and what is not None and what.baseline is not None:
            found += 1
            first = len(every) - 1 - onset(every, what.baseline)[0][0]
            named += abs(first - 30) <= 1
    assert found / chains >= 0.65  # 0.82 in benchmarks/history
    assert named / found >= 0.85


def test_a_slow_drift_is_found_though_no_few_nights_stand_out() -> None:
    chains, found = examples(20), 0
    for seed in range(chains):
        every = [Night(one.y + 0.002 * max(0, number - 30), 0.005, one.weekday) for number, one in enumerate(drawn(seed, 60))]
        found += any(judged(every[:tonight], [every[tonight]], floor=FLOOR).kind is NightKind.WORSE for tonight in range(31, 60))
    assert found >= 0.8 * chains


def test_what_would_be_seen_is_said_of_the_nights_as_they_are() -> None:
    wide, narrow = (detectable(baseline_of(drawn(7, 30, sd=sd))) for sd in (0.04, 0.02))
    assert 0.03 < narrow < 0.09
    assert wide == pytest.approx(2 * narrow, rel=0.15)
    assert detectable(baseline_of(drawn(7, 30)), tests=5) > narrow


def test_a_night_that_is_far_off_is_not_taken_for_the_onset() -> None:
    """Five nights before a step one was slow, and it was like the rest again after that."""
    every = [*drawn(8, 22), Night(0.12), *drawn(11, 4), *drawn(9, 3, 0.08)]
    assert onset(every, baseline_of(every[:22]))[0][0] == 2


def test_an_outlier_counts_for_no_more_than_it_takes() -> None:
    """Two nights of which one is far off are no window; two that are off alike are."""
    usual = drawn(12, 30)
    assert judged([*usual, Night(0.5)], [Night(0.005)], floor=FLOOR).kind is not NightKind.WORSE
    assert judged([*usual, Night(0.07)], [Night(0.08)], floor=FLOOR).kind is NightKind.WORSE


def test_the_onset_of_a_clear_step_is_certain() -> None:
    every = [*drawn(8, 25), *drawn(9, 4, 0.3)]
    (first, *_) = onset(every, baseline_of(every[:25]))
    assert first[0] == 3
    assert first[1] > 0.99


def test_failures_by_chance_are_those_of_a_beta_binomial() -> None:
    """With a prior that is certain it is binomial: P(K ≥ 5 | n = 10, p = 1/2) = 0.623."""
    certain = [(1e7, 5e6)] * 5
    assert as_many_by_chance(certain, 10, 5) == pytest.approx(0.623, abs=0.001)
    assert as_many_by_chance(certain, 10, 10) == pytest.approx(2**-10, rel=0.01)
    assert as_many_by_chance([(1_000, 0)] * 20, 1_000, 0) == 1.0
    assert as_many_by_chance([(1_000, 0)] * 20, 1_000, 20) < 1e-6
    nights_that_differ = [(1_000, 5.0 if number % 2 else 60.0) for number in range(20)]
    assert as_many_by_chance(nights_that_differ, 1_000, 60) > 0.02  # a night like some before


def test_legs_of_a_duet_come_in_turns() -> None:
    assert "".join(legs_of(pair) for pair in range(3)) == "ABBAAB"


def test_a_duet_finds_a_rise_and_clears_what_is_none() -> None:
    kinds = {0.05: 0, 0.0: 0}
    alarms = 0
    for shift in kinds:
        for seed in range(100):
            pairs = np.random.default_rng((seed, 5)).normal(math.log1p(shift), 0.02, 10).tolist()
            look = next(
                look for count in (4, 6, 8, 10) if (look := duet_look(pairs[:count], floor=FLOOR)).kind is not DuetKind.OPEN or count == 10
            )
            wanted = DuetKind.WORSE if shift else DuetKind.FINE
            kinds[shift] += look.kind is wanted
            alarms += not shift and look.kind is DuetKind.WORSE
    assert kinds[0.05] >= 90
    assert kinds[0.0] >= 90
    assert alarms == 0


def test_an_outlier_among_the_pairs_decides_nothing() -> None:
    assert duet_look([0.0, 0.01, -0.01, 0.0, 0.9, 0.005], floor=FLOOR).kind is DuetKind.FINE
    assert duet_look([0.2, 0.21, 0.19], floor=FLOOR).kind is DuetKind.OPEN  # too few pairs
