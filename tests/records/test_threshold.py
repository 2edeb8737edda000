"""Thresholds: how they are written, what they say of given counts, and when they end a load."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadflow.engine.base.typed import typed
from loadflow.engine.records.health import Health
from loadflow.engine.records.judge import EndReason, RunEnd, judge
from loadflow.engine.records.names import SeriesName
from loadflow.engine.records.passes import Passes
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.records.threshold import METRICS, Threshold, ThresholdState, decide, parse_expression
from loadflow.engine.records.threshold_watch import ThresholdWatch
from loadflow.engine.records.totals import SeriesTotals, Totals
from loadflow.errors import ThresholdsNotMet

A, B = SeriesName("GET", "/a"), SeriesName("POST", "/b")
PASSED, FAILED, INCONCLUSIVE = ThresholdState.PASSED, ThresholdState.FAILED, ThresholdState.INCONCLUSIVE


def series(good_ms: list[float], bad_ms: list[float] | None = None, **counts: int) -> SeriesTotals:
    totals = SeriesTotals(**counts)
    totals.succeeded.add(np.array([round(ms * 1e6) for ms in good_ms], dtype=np.int64))
    totals.failed.add(np.array([round(ms * 1e6) for ms in bad_ms or []], dtype=np.int64))
    return totals


KNOWN = Totals(
    {
        A: series([10.0] * 90, [20.0] * 10, received_bytes=5_000_000, late=25),
        B: series([100.0] * 98, [1.0] * 4, superseded=2, superseded_failed=2, retries=2),
    },
    passes=Passes(210, 200, 10, 200),
)

WRITTEN = [
    ("p95 < 500", ("p95", "<", 500.0)),
    ("  p99.9<=1.5s ", ("p99.9", "<=", 1500.0)),
    ("service.p50 < 3 ms", ("p50", "<", 3.0)),
    ("failure_rate < 1%", ("failure_rate", "<", 0.01)),
    ("rate >= 250 /s", ("rate", ">=", 250.0)),
    ("received_bytes < 2 MB", ("received_bytes", "<", 2e6)),
    ("count > 1e3", ("count", ">", 1000.0)),
]


@pytest.mark.parametrize(("text", "expected"), WRITTEN)
def test_how_a_threshold_is_written(text: str, expected: tuple[str, str, float]) -> None:
    found = parse_expression(text)
    assert (found.metric, found.operator, found.limit) == pytest.approx(expected)


REFUSED = [
    ("p95", "is not a threshold", "write METRIC < NUMBER"),
    ("p95 == 5", "is not a threshold", "write METRIC < NUMBER"),
    ("p101 < 5", "'p101' is not a metric", "metrics: p50"),
    ("latency < 5", "'latency' is not a metric", "metrics: p50"),
    ("p95 < 5 kB", "'kB' is not a unit of p95", "units: ms, s"),
    ("count < 5 ms", "'ms' is not a unit of count", "units: none"),
    ("service.count < 5", "only times can be prefixed", "write count"),
    ("p95 < -1", "is below 0", "0 or more"),
    ("p95 < 1.2.3", "'1.2.3' is not a number", "write it like"),
]


@pytest.mark.parametrize(("text", "problem", "hint"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_is_no_threshold_is_told_with_a_way_out(text: str, problem: str, hint: str) -> None:
    with pytest.raises(ValueError, match=r".*") as raised:
        parse_expression(text)
    assert problem in raised.value.args[0]
    assert hint in raised.value.args[1]


DECIDED = [
    ("a percentile of all", Threshold("p50 < 15"), FAILED, 20.0),
    ("of one name", Threshold("p50 < 15", "/a"), PASSED, 10.0),
    ("of a method and a name", Threshold("p50 < 15", "POST /b"), FAILED, 100.0),
    ("of names by a wildcard", Threshold("count > 0", "/*"), PASSED, 202.0),
    ("of a name that had no hit", Threshold("p95 < 500", "/c"), INCONCLUSIVE, None),
    ("a count of a name that had no hit", Threshold("count > 0", "/c"), FAILED, 0.0),
    ("few failures of a name that had no hit", Threshold("failures < 5", "/c"), INCONCLUSIVE, 0.0),
    ("the share of failures", Threshold("failure_rate <= 10%", "/a"), PASSED, 0.1),
    ("attempts that a retry replaced are not counted", Threshold("failure_rate < 2.5%", "/b"), PASSED, 0.02),
    ("hits per second, retries included", Threshold("rate > 20.3"), FAILED, 20.2),
    ("bytes", Threshold("received_bytes < 4 MB"), FAILED, 5e6),
    ("what was late", Threshold("late_rate < 30%", "/a"), PASSED, 0.25),
    ("what was dropped", Threshold("dropped < 5"), FAILED, 10.0),
    ("too few samples to say", Threshold("p50 < 15", "/a", None, 101), INCONCLUSIVE, 10.0),
    ("just enough samples", Threshold("p50 < 15", "/a", None, 100), PASSED, 10.0),
    ("the longest", Threshold("max <= 20", "/a"), PASSED, 20.0),
    ("service time is response time in a closed loop", Threshold("service.max <= 20", "/a"), PASSED, 20.0),
]


@pytest.mark.parametrize(("sentence", "threshold", "state", "observed"), DECIDED, ids=[row[0] for row in DECIDED])
def test_what_a_threshold_says(sentence: str, threshold: Threshold, state: ThresholdState, observed: float | None) -> None:
    result = decide(threshold, KNOWN, 10.0)
    assert result.state is state, result.text
    assert result.observed == (None if observed is None else pytest.approx(observed, rel=1e-3))


def test_nothing_passes_without_a_hit() -> None:
    """Whatever the metric, an empty run is inconclusive or failed."""
    for metric in ["p50", "p99.9", *METRICS]:
        for operator in ("<", ">"):
            assert decide(Threshold(f"{metric} {operator} 1"), Totals(), 0.0).state is not PASSED


@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=50), st.floats(0, 1e4), st.sampled_from(["p50", "p95", "mean", "max"]))
def test_a_limit_that_is_met_is_met_by_every_looser_one(times_ms: list[float], limit: float, metric: str) -> None:
    totals = Totals({A: series(times_ms)})
    if decide(Threshold(f"{metric} < {limit!r}"), totals, 1.0).state is PASSED:
        assert decide(Threshold(f"{metric} < {limit * 2!r}"), totals, 1.0).state is PASSED


DONE = RunEnd(EndReason.COMPLETED, "", 10.0, 10.0)


@pytest.mark.parametrize(
    ("expressions", "verdict"),
    [
        (["p50 < 1 s"], "passed"),
        (["p50 < 1 s", "max < 50"], "failed: max < 50: observed 100 ms (200 samples)"),
        (["p99 < 1 s", "p50 < 0.001 ms", "count > 1000"], "failed: p50 < 0.001 ms: observed 20 ms (200 samples)"),
    ],
)
def test_the_verdict_follows_the_thresholds(expressions: list[str], verdict: str) -> None:
    results = [decide(Threshold(text), KNOWN, 10.0) for text in expressions]
    found = judge(KNOWN, DONE, [Health()], max_failure_rate=1.0, thresholds=results, rate_tolerance=1.0)
    assert str(found) == verdict
    assert len(found.reasons) == sum(result.state is FAILED for result in results)


def test_a_threshold_that_can_not_be_said_makes_the_run_inconclusive() -> None:
    result = decide(Threshold("p99 < 1 s", None, None, 10_000), KNOWN, 10.0)
    found = judge(KNOWN, DONE, [Health()], max_failure_rate=1.0, thresholds=[result], rate_tolerance=1.0)
    assert str(found) == "inconclusive: p99 < 1 s: too few samples to say (200)"


def second(number: int, good_ms: list[float]) -> Snapshot:
    return Snapshot(number, 0.0, Totals({A: series(good_ms)}), Health(), 60.0)


def test_a_load_is_ended_after_the_delay_and_not_before() -> None:
    watch = ThresholdWatch([Threshold("p95 < 50", abort_on_fail=True, abort_delay_s=3)])
    for number in range(2):
        watch.add(second(number, [100.0]))
        assert watch.breach == ""
    watch.add(second(2, [100.0]))
    assert watch.breach == "p95 < 50: observed 100 ms (3 samples)"


def test_only_the_seconds_of_its_window_count() -> None:
    watch = ThresholdWatch([Threshold("max < 50", None, (2.0, 4.0), abort_on_fail=True, abort_delay_s=1), Threshold("max < 1")])
    for number, ms in enumerate([100.0, 100.0, 10.0, 10.0, 100.0]):
        watch.add(second(number, [ms]))
    assert watch.breach == ""


def test_it_goes_through_json_and_its_error_through_pickle() -> None:
    threshold = Threshold("p95 < 50", "/a", (1.0, 2.0), 10, True, 3.0)
    assert typed(Threshold, json.loads(json.dumps(threshold.to_json())), "threshold") == threshold
    error = pickle.loads(pickle.dumps(ThresholdsNotMet(["a", "b"], False)))
    assert (error.breaches, error.failed, str(error)) == (("a", "b"), False, "a; b")
