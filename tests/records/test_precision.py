"""Intervals, steadiness, warm-up and hidden times, against targets whose true numbers are known in closed form."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadflow.engine.plan.pace import Pace, Segment
from loadflow.engine.records.blocks import spreads
from loadflow.engine.records.closed_loop import with_hidden_ms
from loadflow.engine.records.histogram import Histogram
from loadflow.engine.records.hitlog import HIT_DTYPE, Rows
from loadflow.engine.records.names import SeriesName
from loadflow.engine.records.precision import precision_of, wilson
from loadflow.engine.records.sample import Counted
from loadflow.engine.records.seconds import SecondCounter, SecondCounts
from loadflow.engine.records.steadiness import STEEP, kpss, mser, slope, steadiness_of
from loadflow.engine.records.threshold import Threshold, ThresholdState
from loadflow.engine.records.totals import SeriesTotals, Totals
from tests.builders import build_run, facts, make_rows
from tests.examples import examples

NAME = SeriesName("GET", "/")
RATE_PER_S = 200


def rows_of(generator: np.random.Generator, seconds: int, factor: np.ndarray | float = 1.0, mean_s: float = 0.005) -> Rows:
    """Hits that are independent of each other, with exponential times; `factor` by second slows them."""
    due_s = np.sort(generator.uniform(0, seconds, RATE_PER_S * seconds))
    slower = np.broadcast_to(factor, seconds)[due_s.astype(int)]
    rows = np.zeros(len(due_s), dtype=HIT_DTYPE)
    rows["due_ns"] = rows["start_ns"] = due_s * 1e9
    rows["end_ns"] = (due_s + generator.exponential(mean_s, len(due_s)) * slower) * 1e9
    return rows


def counted(rows: Rows, seconds: int) -> Counted:
    times = Histogram()
    times.add(rows["end_ns"] - rows["due_ns"])
    totals = Totals({NAME: SeriesTotals(times)})
    counter = SecondCounter(totals, seconds)
    counter.add(rows, {0: NAME})
    return Counted(totals, seconds, counter.counts)


def seconds_of(rows: Rows, seconds: int) -> SecondCounts:
    counts = counted(rows, seconds).per_second()
    assert counts is not None
    return counts


def test_intervals_hold_the_true_percentiles() -> None:
    truth_ms = {"p50": 5 * math.log(2), "p95": 5 * math.log(20), "p99": 5 * math.log(100), "mean": 5.0}
    held = dict.fromkeys(truth_ms, 0)
    runs = 100
    for number in range(runs):
        found = precision_of(counted(rows_of(np.random.default_rng((1, number)), 40), 40)).overall.intervals
        for metric, true_ms in truth_ms.items():
            low, high = found[metric].low, found[metric].high
            assert low is not None
            assert high is not None
            assert low <= found[metric].value <= high
            held[metric] += low <= true_ms <= high
    assert all(0.88 * runs <= count for count in held.values()), held  # 95 are expected; by chance fewer than 88 once in 500


def test_clusters_make_the_error_itself_uncertain() -> None:
    generator = np.random.default_rng(2)
    even = generator.normal(0, 1, (1, 600))
    rare = np.zeros((1, 600))
    rare[0, ::150] = 10.0
    _, freedoms = spreads(np.vstack([even, rare - rare.mean()]), least=5)
    assert freedoms[1] < freedoms[0] / 2
    assert freedoms[1] >= 3


def test_a_short_run_says_why_it_has_no_interval() -> None:
    found = precision_of(counted(rows_of(np.random.default_rng(3), 29), 29))
    assert "too short to say: 29 s" in found.why
    assert all(one.low is None and one.detectable is None and one.why == found.why for one in found.overall.intervals.values())
    assert found.overall.intervals["p95"].value > 0


def test_effective_hits_are_at_most_the_hits_and_fewer_behind_a_queue() -> None:
    generator = np.random.default_rng(4)
    alone = rows_of(generator, 60)
    waiting = rows_of(generator, 60, np.repeat(generator.uniform(0.3, 3.0, 12), 5))  # slow for five seconds at a time
    free, queued = (precision_of(counted(rows, 60)).overall.intervals["p95"].effective_hits for rows in (alone, waiting))
    assert free is not None
    assert queued is not None
    assert queued < free / 3
    assert free <= len(alone)


@settings(max_examples=examples(20), deadline=None)
@given(share=st.floats(0, 1), hits=st.floats(1, 1e6), reach=st.floats(0.5, 4))
def test_the_interval_of_a_share_holds_it_and_stays_between_0_and_1(share: float, hits: float, reach: float) -> None:
    low, high = wilson(share, hits, reach)
    assert 0 <= low <= share + 1e-9
    assert share - 1e-9 <= high <= 1


@pytest.mark.parametrize(
    ("what", "factor", "steady", "warm_up_s"),
    [
        ("level", np.ones(120), True, 0),
        ("drift", 1 + 0.3 * np.arange(120) / 120, False, 0),
        ("step", 1 + 0.3 * (np.arange(120) > 70), False, 0),
        ("warm-up", 1 + 1.0 * (np.arange(120) < 15), True, 15),
    ],
)
def test_drifts_steps_and_warm_ups_are_told_apart(what: str, factor: np.ndarray, steady: bool, warm_up_s: int) -> None:
    found = steadiness_of(seconds_of(rows_of(np.random.default_rng(5), 120, factor), 120))
    assert found is not None
    assert (found.times_are_steady, found.warm_up_s) == (steady, warm_up_s), what
    assert found.rate_is_steady
    if what == "step":
        assert found.last_ms > 1.2 * found.first_ms


def test_a_rate_that_falls_is_not_steady() -> None:
    generator = np.random.default_rng(6)
    rows = rows_of(generator, 120)
    kept = generator.uniform(0, 1, len(rows)) < 1 - 0.4 * rows["due_ns"] / 120e9
    found = steadiness_of(seconds_of(rows[kept], 120))
    assert found is not None
    assert not found.rate_is_steady
    assert found.times_are_steady


def test_too_short_or_with_gaps_nothing_is_said_of_steadiness() -> None:
    assert steadiness_of(seconds_of(rows_of(np.random.default_rng(7), 59), 59)) is None
    rows = rows_of(np.random.default_rng(7), 90)
    gap = rows[(rows["end_ns"] < 30e9) | (rows["end_ns"] > 33e9)]
    assert steadiness_of(seconds_of(gap, 90)) is None


def test_kpss_knows_its_own_published_limit() -> None:
    """At 5 % the statistic of a level is above 0.463 (Kwiatkowski et al. 1992, table 1), at 1 % above 0.739."""
    found = np.array([kpss(np.random.default_rng((8, number)).normal(0, 1, 300)) for number in range(1_000)])
    assert 0.03 < np.mean(found > 0.463) < 0.07
    assert np.mean(found > 0.739) < 0.02
    assert kpss(np.ones(50)) == 0.0


def test_a_slope_is_as_steep_as_its_errors_say() -> None:
    """Of values that are alike, too: each is half of the one before, and chance."""

    def steep(number: int, rise: float) -> float:
        chance = np.random.default_rng((9, number)).normal(0, 1, 320)
        alike = [chance[0]]
        for one in chance[1:]:
            alike.append(0.5 * alike[-1] + one)
        return slope(np.array(alike[20:]) + rise * np.arange(300) / 300)

    flat = np.array([steep(number, 0.0) for number in range(400)])
    assert abs(flat.mean()) < 0.2
    assert np.mean(np.abs(flat) > STEEP) < 0.06
    assert np.mean([steep(number, 2.0) > STEEP for number in range(100)]) > 0.9
    assert slope(np.ones(50)) == 0.0


def test_half_of_a_slow_drift_is_no_warm_up() -> None:
    """What the rule would cut off at the start is nearer to the rest than to a level of its own."""
    found = [
        steadiness_of(seconds_of(rows_of(np.random.default_rng((10, number)), 120, 1 + 0.2 * np.arange(120) / 120), 120))
        for number in range(20)
    ]
    assert all(one is not None and (one.warm_up_s, one.times_are_steady) == (0, False) for one in found)


def test_mser_cuts_what_differs_at_the_start() -> None:
    series = np.concatenate([np.full(20, 9.0), np.random.default_rng(9).normal(5, 0.1, 100)])
    assert mser(series, 5) == 20


@settings(max_examples=examples(15), deadline=None)
@given(
    times_ms=st.lists(st.integers(1, 3_000), min_size=1, max_size=60),
    every_ms=st.integers(1, 400),
    q=st.sampled_from([0.1, 0.5, 0.95, 0.99]),
)
def test_hidden_times_are_those_that_each_slow_answer_stands_for(times_ms: list[int], every_ms: int, q: float) -> None:
    every_one = sorted(one - missed * every_ms for one in times_ms for missed in range(-(-one // every_ms)))
    rank = max(1, math.ceil(q * len(every_one) - 1e-9))
    times = Histogram()
    times.add(np.array(times_ms) * 1_000_000)
    found = with_hidden_ms(times, every_ms, q)
    # a bucket's middle is off by 0.1 %, so a whole step may fall on the other side
    low, high = (every_one[min(max(0, rank - 1 + slack), len(every_one) - 1)] for slack in (-len(times_ms), len(times_ms)))
    assert low * 0.998 - 1 <= found <= high * 1.002 + 1


def test_a_threshold_that_must_be_sure_is_decided_by_the_interval(tmp_path: Path) -> None:
    run = build_run(tmp_path / "run", make_rows(20_000, seconds=60, failure_rate=0.02, steady=True), run_facts=facts(planned_s=60.0))
    plain = run.decide(Threshold("p95 < 1 s"))
    assert plain.observed is not None
    near = plain.observed * 1.001
    cases = {
        f"p95 < {plain.observed * 2} ms": ThresholdState.PASSED,
        f"p95 < {plain.observed / 2} ms": ThresholdState.FAILED,
        f"p95 < {near} ms": ThresholdState.INCONCLUSIVE,
        "failure_rate < 5%": ThresholdState.PASSED,
        "failure_rate < 0.5%": ThresholdState.FAILED,
        "failure_rate < 2%": ThresholdState.INCONCLUSIVE,
        "rate > 300": ThresholdState.PASSED,
        "mean > 1 s": ThresholdState.FAILED,
        "p99.9 > 1 ms": ThresholdState.PASSED,
        "service.p50 < 1 s": ThresholdState.PASSED,
    }
    for text, state in cases.items():
        result = run.decide(Threshold(text, sure=0.95))
        assert result.state is state, result
        assert result.low is not None
        assert result.high is not None
        assert result.observed is not None
        assert result.low <= result.observed <= result.high
    unclear = run.decide(Threshold(f"p95 < {near} ms", sure=0.95))
    assert "either side of the limit" in unclear.text
    named = run.decide(Threshold("p95 < 1 s", name="/login", window=(10.0, 50.0), sure=0.9))
    assert named.state is ThresholdState.PASSED
    short = run.decide(Threshold("p95 < 1 s", window=(10.0, 30.0), sure=0.9))
    assert short.state is ThresholdState.INCONCLUSIVE
    assert "too short" in short.text


def test_the_summary_of_a_run_has_its_precision_and_says_what_is_not_steady(tmp_path: Path) -> None:
    rows = make_rows(20_000, seconds=90, steady=True)
    took_ns = (rows["end_ns"] - rows["start_ns"]) * (1 + rows["end_ns"] / 90e9)  # twice as slow at the end
    rows["start_ns"] = rows["due_ns"] = np.maximum(rows["end_ns"] - took_ns, 0)
    run = build_run(tmp_path / "run", rows, run_facts=facts(planned_s=90.0, plan={"stages": [{"users": 50}]}))
    told = run.summary().to_json()["precision"]
    assert told["why"] == ""
    assert set(told["per_name"]) == set(run.summary().to_json()["per_name"])
    assert told["overall"]["p95"]["low"] < told["overall"]["p95"]["value"] < told["overall"]["p95"]["high"]
    assert told["steadiness"]["steady"] is False
    assert "not-steady" in [one.code for one in run.summary().warnings]
    assert told["closed_loop"]["p99_ms"] >= told["overall"]["p99"]["value"] * 0.99


@pytest.mark.parametrize(("end_per_s", "asked"), [(300.0, True), (600.0, False)])
def test_a_rate_that_stays_is_asked_for_steadiness_and_one_that_changes_is_not(tmp_path: Path, end_per_s: float, asked: bool) -> None:
    pace = Pace((Segment(90.0, 300.0, end_per_s),))
    rows = make_rows(20_000, seconds=90, arrival_rate=True, steady=True)
    run = build_run(tmp_path / "run", rows, run_facts=facts(planned_s=90.0, plan={"pace": pace.to_json()}))
    trust = run.summary().trust
    assert trust is not None
    assert trust.hidden is None
    assert (trust.steadiness is not None) == asked


def test_a_run_that_is_too_short_says_so_of_every_number(tmp_path: Path) -> None:
    run = build_run(tmp_path / "run", make_rows(2_000, seconds=15), run_facts=facts(planned_s=15.0))
    trust = run.summary().trust
    assert trust is not None
    intervals = [one for name in (trust.precision.overall, *trust.precision.names.values()) for one in name.intervals.values()]
    assert len(intervals) > 6
    assert all(one.why.startswith("too short to say: ") for one in intervals)
