"""Thresholds that ask to be sure: decided by the interval of what was observed, not by the observed value alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from loadflow.engine.records.blocks import spreads, student_t
from loadflow.engine.records.precision import bounds_of
from loadflow.engine.records.sample import LEAST_BLOCK_S, Series, influence, too_short
from loadflow.engine.records.seconds import SecondCounts
from loadflow.engine.records.threshold import (
    OPERATORS,
    Expression,
    Threshold,
    ThresholdResult,
    ThresholdState,
    decide,
    parse_expression,
    selected,
    timing_of,
)
from loadflow.engine.records.totals import SeriesTotals, Totals

__all__ = ["decide_surely", "observed_series"]


def observed_series(expression: Expression, name: str | None, totals: Totals) -> SeriesTotals:
    """The counts that the expression is about; of service times where it asks for them and they are kept apart; or
    one of its timings, as if that were the response time."""
    series = selected(name, totals)
    if expression.timing:
        return SeriesTotals(timing_of(series, expression))
    if expression.service and series.service.count:
        return SeriesTotals(series.service)
    return series


def decide_surely(
    threshold: Threshold, totals: Totals, duration_s: float, seconds: Callable[[SeriesTotals], SecondCounts | None]
) -> ThresholdResult:
    """Passed where the whole interval lies on the limit's right side, failed where it lies on the wrong one, else inconclusive.

    `seconds` counts the hits of the series in each second, those above the expression's percentile as its only quantile.
    """
    sure = threshold.sure or 0.0
    result = decide(threshold, totals, duration_s)
    if result.state is ThresholdState.INCONCLUSIVE or result.observed is None:
        return result
    expression = parse_expression(threshold.expression)
    series = observed_series(expression, threshold.name, totals)
    unclear = replace(result, state=ThresholdState.INCONCLUSIVE)
    if why := too_short(int(duration_s)):
        return replace(unclear, note=f"observed {result.observed_text}; how sure that is: {why}")
    counts = seconds(series)
    if counts is None:
        return replace(unclear, note=f"observed {result.observed_text}; how sure that is can't be said without the hits of the run folder")
    error, freedom = _spread(expression, counts)
    metric = "mean" if expression.metric == "avg" else expression.metric
    low, high = bounds_of(metric, expression.q, Series(series, duration_s), error, student_t((1 + sure) / 2, freedom))
    holds = [OPERATORS[expression.operator](bound, expression.limit) for bound in (low, high)]
    known = replace(result, low=low, high=high)
    if all(holds):
        return replace(known, state=ThresholdState.PASSED)
    if not any(holds):
        return replace(known, state=ThresholdState.FAILED)
    note = f"observed {known.observed_text}: the true value may lie on either side of the limit (sure {sure:g}); run longer, or lower sure"
    return replace(known, state=ThresholdState.INCONCLUSIVE, note=note)


def _spread(expression: Expression, counts: SecondCounts) -> tuple[float, float]:
    hits = counts.hits[:1]
    if expression.q is not None:
        series = influence(counts.above[0, :1], hits)
    elif expression.metric == "failure_rate":
        series = influence(counts.failed[:1], counts.decisive[:1])
    elif expression.metric == "rate":
        series = influence(hits, np.ones_like(hits)) / max(float(hits.mean()), np.finfo(float).tiny)
    else:
        series = influence(counts.sum_ns[:1], hits)
    errors, freedoms = spreads(series, least=-(-LEAST_BLOCK_S // counts.unit_s))
    return float(errors[0]), float(freedoms[0])
