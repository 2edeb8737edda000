"""Comparing two runs: what is worse, better, the same or can't be said, as a table, and what holds for any two runs."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from benchmarks.trust import said_and_seen
from loadflow.engine.history.comparing import seen_text
from loadflow.engine.records.compare import Change, ChangeKind, Comparison, Limits, compare
from loadflow.engine.records.fingerprint import fingerprint, same_host, unlike
from loadflow.engine.records.histogram import Histogram
from loadflow.engine.records.hitlog import HIT_DTYPE, Rows
from loadflow.engine.records.names import SeriesName
from loadflow.engine.records.outcome import HitFlag, Outcome
from loadflow.engine.records.sample import METRICS, Counted
from loadflow.engine.records.seconds import SecondCounter
from loadflow.engine.records.totals import SeriesTotals, Totals
from tests.builders import facts
from tests.examples import examples

HOME = SeriesName("GET", "/")
BETTER, SAME, UNCLEAR, WORSE = ChangeKind.BETTER, ChangeKind.SAME, ChangeKind.UNCLEAR, ChangeKind.WORSE
MIRROR = {BETTER: WORSE, WORSE: BETTER, SAME: SAME, UNCLEAR: UNCLEAR}


def times_ms(hits: int, middle: float = 50.0, spread: float = 0.3, seed: int = 1) -> list[float]:
    return np.random.default_rng(seed).lognormal(math.log(middle), spread, hits).tolist()


def histogram(milliseconds: list[float]) -> Histogram:
    made = Histogram()
    made.add(np.array([round(one * 1e6) for one in milliseconds], dtype=np.int64))
    return made


def rows_of(milliseconds: list[float], outcome: Outcome, flags: int, duration_s: float, series: int = 0) -> Rows:
    """Hits whose ends lie evenly over the load, in an order that says nothing about their times."""
    rows = np.zeros(len(milliseconds), dtype=HIT_DTYPE)
    rows["end_ns"] = (np.arange(len(rows)) + 0.5) / max(1, len(rows)) * duration_s * 1e9
    rows["due_ns"] = rows["start_ns"] = rows["end_ns"] - np.round(np.array(milliseconds) * 1e6).astype(np.int64)
    rows["outcome"], rows["flags"], rows["series"] = outcome, flags, series
    return rows


def with_seconds(totals: Totals, duration_s: float, rows: list[Rows]) -> Counted:
    counter = SecondCounter(totals, duration_s)
    for some in rows:
        counter.add(some, dict(enumerate(totals.series)))
    return Counted(totals, duration_s, counter.counts)


def counted(good: list[float], bad: list[float] | None = None, *, duration_s: float = 60.0, superseded: int = 0) -> Counted:
    """A run of one name; so many of the `bad` ones another attempt followed."""
    bad = bad or []
    made = SeriesTotals(histogram(good), histogram(bad), superseded=superseded, superseded_failed=superseded)
    flags = [0, HitFlag.SUPERSEDED if superseded else 0]
    rows = [rows_of(good, Outcome.OK, flags[0], duration_s), rows_of(bad, Outcome.STATUS, flags[1], duration_s)]
    return with_seconds(Totals({HOME: made}), duration_s, rows)


def several(duration_s: float = 60.0, **names: list[float]) -> Counted:
    """A run of several names, all of GET."""
    totals = Totals({SeriesName("GET", f"/{name}"): SeriesTotals(histogram(times)) for name, times in names.items()})
    rows = [rows_of(times, Outcome.OK, 0, duration_s, number) for number, times in enumerate(names.values())]
    return with_seconds(totals, duration_s, rows)


def change(comparison: Comparison, metric: str) -> Change:
    return next(one for one in comparison.overall.changes if one.metric == metric)


MANY = times_ms(20_000)
TABLE = [
    ("other draws of the same times", "p50", counted(MANY), counted(times_ms(20_000, seed=2)), SAME),
    ("all times a fifth longer", "p50", counted(MANY), counted([one * 1.2 for one in MANY]), WORSE),
    ("all times a fifth longer", "p99", counted(MANY), counted([one * 1.2 for one in MANY]), WORSE),
    ("all times a fifth longer", "mean", counted(MANY), counted([one * 1.2 for one in MANY]), WORSE),
    ("all times a fifth shorter", "p95", counted(MANY), counted([one * 0.8 for one in MANY]), BETTER),
    ("twice as long, but by half a millisecond", "p50", counted([0.5] * 5000), counted([1.0] * 5000), SAME),
    ("five milliseconds more, which are one in a hundred", "p50", counted([500.0] * 5000), counted([505.0] * 5000), SAME),
    ("twice as long, but of ten hits", "p50", counted([50.0] * 10), counted([100.0] * 10), UNCLEAR),
    ("twice as long, and too few for a p99", "p99", counted(times_ms(500)), counted(times_ms(500, 100)), UNCLEAR),
    ("a seventh longer, of too few to say", "mean", counted(times_ms(25, spread=1)), counted(times_ms(25, 57, 1, seed=2)), UNCLEAR),
    ("no failure before and none now", "failure_rate", counted(MANY), counted(MANY), SAME),
    ("no failure before, of few hits", "failure_rate", counted([5.0] * 50), counted([5.0] * 50), UNCLEAR),
    ("no failure before, nothing but failures now", "failure_rate", counted([5.0] * 30), counted([], [5.0] * 30), WORSE),
    ("nothing but failures before, none now", "failure_rate", counted([], [5.0] * 30), counted([5.0] * 30), BETTER),
    ("one failure more in ten thousand", "failure_rate", counted([5.0] * 10_000), counted([5.0] * 9_999, [5.0]), SAME),
    ("a percent of failures", "failure_rate", counted([5.0] * 10_000), counted([5.0] * 9_900, [5.0] * 100), WORSE),
    ("half the rate", "rate", counted(MANY), counted(MANY, duration_s=120), WORSE),
    ("twice the rate", "rate", counted(MANY, duration_s=120), counted(MANY), BETTER),
    ("no time at all", "mean", counted([0.0] * 100), counted([0.0] * 100), SAME),
    ("from no time to some", "mean", counted([0.0] * 100), counted([5.0] * 100), WORSE),
]


@pytest.mark.parametrize(("what", "metric", "before", "after", "verdict"), TABLE, ids=[f"{row[0]}: {row[1]}" for row in TABLE])
def test_what_a_change_is_called(what: str, metric: str, before: Counted, after: Counted, verdict: ChangeKind) -> None:
    found = change(compare(before, after), metric)
    assert found.verdict is verdict, found
    assert (found.verdict is UNCLEAR) == bool(found.why)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.high


@pytest.mark.parametrize(("what", "metric", "before", "after", "verdict"), TABLE, ids=[f"{row[0]}: {row[1]}" for row in TABLE])
def test_what_would_be_seen_is_beyond_the_limits_and_said_wherever_there_are_hits_enough(
    what: str, metric: str, before: Counted, after: Counted, verdict: ChangeKind
) -> None:
    found = change(compare(before, after), metric)
    if "needs" in found.why:
        assert found.detectable is None
        return
    assert found.detectable is not None
    assert found.detectable >= Limits().margin(metric, found.baseline)
    assert bool(seen_text(found)) is (verdict in (SAME, UNCLEAR))


def test_a_change_that_is_said_to_be_seen_is_seen_nine_times_in_ten() -> None:
    said, seen = said_and_seen(0.0, "p95", 20)
    assert 0.1 < said < 0.15
    assert seen >= 16


def test_of_a_baseline_of_zero_no_relative_change_is_said() -> None:
    found = change(compare(counted([5.0] * 30), counted([], [5.0] * 30)), "failure_rate")
    assert (found.baseline, found.current, found.absolute, found.relative) == (0.0, 1.0, 1.0, None)


def test_of_independent_hits_the_interval_of_a_percentile_is_about_that_of_drawing_every_hit_again() -> None:
    before, after = times_ms(20_000), times_ms(20_000, 60, seed=2)
    random = np.random.default_rng(3)
    plain = [
        np.sort(random.choice(after, 20_000))[18_999] - np.sort(random.choice(before, 20_000))[18_999]  # the ⌈0.95·n⌉-th
        for _ in range(300)
    ]
    found = change(compare(counted(before, duration_s=300), counted(after, duration_s=300)), "p95")
    assert found.low is not None
    assert found.high is not None
    low, high = np.quantile(plain, (0.025, 0.975))
    assert found.high - found.low == pytest.approx(high - low, rel=0.35)
    assert (found.low + found.high) / 2 == pytest.approx((low + high) / 2, abs=0.25 * (high - low))


def test_the_interval_of_a_mean_is_as_wide_as_its_standard_errors_say() -> None:
    before, after = times_ms(20_000), times_ms(20_000, 60, seed=2)
    found = change(compare(counted(before, duration_s=600), counted(after, duration_s=600), Limits(resamples=4_000)), "mean")
    error = math.sqrt(np.var(before) / 20_000 + np.var(after) / 20_000)
    assert found.absolute == pytest.approx(np.mean(after) - np.mean(before))
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.25)


SHORT = [
    ("twenty seconds", 20.0, "too short to say: 20 s, and it takes 30 s, 6 blocks of 5 s"),
    ("a last second that is not a whole one", 29.8, "too short to say: 29 s, and it takes 30 s, 6 blocks of 5 s"),
    ("thirty seconds", 30.0, ""),
]


@pytest.mark.parametrize(("what", "duration_s", "why"), SHORT, ids=[row[0] for row in SHORT])
def test_below_six_blocks_it_is_too_short_to_say(what: str, duration_s: float, why: str) -> None:
    comparison = compare(counted(MANY), counted([2 * one for one in MANY], duration_s=duration_s))
    assert {found.why for found in comparison.overall.changes} == {why}
    assert comparison.verdict is (UNCLEAR if why else WORSE)
    assert all((found.low is None) is bool(why) for found in comparison.overall.changes)


def test_where_only_totals_are_kept_nothing_is_called_changed() -> None:
    bare = Counted(counted(MANY).totals, 60.0)
    comparison = compare(bare, counted([2 * one for one in MANY]))
    assert comparison.verdict is UNCLEAR
    assert {found.why for found in comparison.overall.changes} == {"only totals are kept of it, not what happened in each second"}
    assert change(comparison, "p50").relative == pytest.approx(1.0, abs=0.01)


def test_attempts_that_a_retry_replaced_are_no_failures() -> None:
    tried = counted(MANY, [5.0] * 2_000, superseded=2_000)
    assert change(compare(counted(MANY), tried), "failure_rate").verdict is SAME


def test_one_worse_name_makes_the_comparison_worse_and_names_of_one_run_are_told() -> None:
    before = several(home=times_ms(200_000), pay=times_ms(3_000, 30), old=times_ms(3_000, 30))
    after = several(home=times_ms(200_000), pay=times_ms(3_000, 90), new=times_ms(3_000, 30))
    comparison = compare(before, after)
    assert (comparison.only_baseline, comparison.only_current) == ((SeriesName("GET", "/old"),), (SeriesName("GET", "/new"),))
    assert {one.name for one, _ in comparison.marked(WORSE)} == {"/pay"}
    assert comparison.verdict is WORSE
    assert compare(before, after, names=False).names == ()


def test_a_run_without_hits_is_compared_as_unclear() -> None:
    assert compare(counted(MANY), Counted(Totals(), 0.0)).verdict is UNCLEAR


def test_the_same_two_runs_always_give_the_same_answer() -> None:
    before, after = counted(MANY), counted(times_ms(20_000, 52, seed=2))
    assert compare(before, after) == compare(before, after)


LATENCIES = st.lists(st.floats(0.001, 60_000), min_size=1, max_size=60)
RUNS = st.builds(
    lambda good, bad, copies, duration_s: counted(good * copies, bad * copies, duration_s=duration_s),
    LATENCIES,
    st.lists(st.floats(0.001, 60_000), max_size=5),
    st.sampled_from([1, 30, 1_000]),
    st.floats(0.5, 1_000),
)


@settings(max_examples=examples(15), deadline=None)
@given(RUNS)
def test_a_run_is_never_worse_or_better_than_itself(run: Counted) -> None:
    assert compare(run, run).verdict in (SAME, UNCLEAR)


@settings(max_examples=examples(15), deadline=None)
@given(RUNS, RUNS)
def test_swapping_the_runs_swaps_better_and_worse(one: Counted, other: Counted) -> None:
    assume((one.totals.to_json(), one.duration_s) != (other.totals.to_json(), other.duration_s))  # equal runs have no order
    forth, back = compare(one, other), compare(other, one)
    assert [MIRROR[found.verdict] for found in forth.overall.changes] == [found.verdict for found in back.overall.changes]
    for there, here in zip(forth.overall.changes, back.overall.changes, strict=True):
        if there.low is None or there.high is None or here.low is None or here.high is None:
            assert there.low == there.high == here.low == here.high
        else:
            assert (there.low, there.high) == (pytest.approx(-here.high, abs=1e-6), pytest.approx(-here.low, abs=1e-6))


@settings(max_examples=examples(10), deadline=None)
@given(st.lists(st.floats(5, 500), min_size=20, max_size=40), st.floats(1, 20))
def test_twice_the_time_is_worse_wherever_the_times_vary_little(times: list[float], base: float) -> None:
    times = [100 * base + one / 50 for one in times] * 50
    comparison = compare(counted(times), counted([2 * one for one in times]))
    assert comparison.verdict is WORSE
    assert {found.metric for found in comparison.overall.changes if found.verdict is WORSE} == {"p50", "p95", "p99", "mean"} & set(METRICS)


PLAN = {"protocol": "fast_http_user", "steps": [{"name": "a", "weight": 1}], "stages": [{"users": 5}], "seed": None}
LIKE = facts(plan=PLAN, environment={"host": "box", "cores": "2", "python": "3.11"})
UNLIKE = [
    ("a label", {"label": "other"}, {}, {}, None),
    ("a seed", {}, {"seed": 7}, {}, None),
    ("variables", {}, {"variables": {"token": "***"}}, {}, None),
    ("a key of a newer release that is not set", {}, {"pauses": None}, {}, None),
    ("a whole number with a point", {}, {"stages": [{"users": 5.0}]}, {}, None),
    ("Python", {}, {}, {"python": "3.13"}, None),
    ("a step", {}, {"steps": [{"name": "b", "weight": 1}]}, {}, "plan.steps"),
    ("users", {}, {"stages": [{"users": 6}]}, {}, "plan.stages"),
    ("a pace", {}, {"pace": {"rate": 5}}, {}, "plan.pace"),
    ("the rate of a pace", {}, {"pace": {"rate": 6, "seed": 7}}, {}, "plan.pace"),
    ("the engine", {"engine": "native"}, {}, {}, "engine"),
    ("the machine", {}, {}, {"host": "other"}, "host"),
    ("the processes", {}, {}, {"processes": "2"}, "processes"),
    ("the cores", {}, {}, {"cores": "64"}, "cores"),
    ("a CPU quota", {}, {}, {"cpu_quota": "1.5"}, "cpu_quota"),
]


@pytest.mark.parametrize(("what", "changed", "plan", "environment", "key"), UNLIKE, ids=[row[0] for row in UNLIKE])
def test_which_differences_make_two_runs_unlike(
    what: str, changed: dict[str, str], plan: dict[str, object], environment: dict[str, str], key: str | None
) -> None:
    other = replace(LIKE, **changed, plan={**PLAN, **plan}, environment={**LIKE.environment, **environment})  # type: ignore[arg-type]
    assert [line.partition(":")[0] for line in unlike(LIKE, other)] == ([key] if key else [])
    assert (fingerprint(LIKE) == fingerprint(other) and same_host(LIKE, other)) is (key is None)


@pytest.mark.parametrize(
    ("what", "ours", "theirs", "one"),
    [
        ("a hit costs the same", 6.6, 6.6, True),
        ("a hit costs 4 % more", 6.6, 6.86, True),
        ("a hit costs 4 % less", 6.86, 6.6, True),
        ("a hit costs 6 % more", 6.6, 7.0, False),
        ("one was not calibrated", 6.6, None, False),
        ("neither was calibrated", None, None, False),
    ],
)
def test_two_hosts_are_one_where_their_calibrations_say_so(what: str, ours: float | None, theirs: float | None, one: bool) -> None:
    first, second = (
        replace(LIKE, calibration={"cpu_ms_per_1000_hits": cost} if cost else None, environment={**LIKE.environment, "host": host})
        for cost, host in ((ours, "build-7"), (theirs, "build-8"))
    )
    assert same_host(first, second) is one
    assert [line.partition(":")[0] for line in unlike(first, second)] == ([] if one else ["host"])
    assert fingerprint(first) == fingerprint(second)
