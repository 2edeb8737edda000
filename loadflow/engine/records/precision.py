"""How far the numbers of one run can be trusted: an interval for each, and what a second run like it could show.

The interval of a metric holds the true value with the probability `confidence`, if the target goes on as it did. Its width comes from
how the metric wavers from block of seconds to block of seconds (records/blocks.py), so it is right for hits that wait behind each other
too. benchmarks/trust measures how often it holds the truth where that is known in closed form.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import NormalDist

import numpy as np

from loadflow.engine.records.blocks import spreads, student_t
from loadflow.engine.records.compare import Limits, chance_of_any
from loadflow.engine.records.detecting import detectable
from loadflow.engine.records.names import SeriesName
from loadflow.engine.records.sample import LEAST_BLOCK_S, METRICS, PERCENTILES, Counted, Series, influences, too_few, too_short
from loadflow.engine.records.seconds import ALL

__all__ = ["CONFIDENCE", "NO_SECONDS", "Interval", "NamePrecision", "Precision", "bounds_of", "precision_of", "wilson"]

CONFIDENCE = 0.95
NO_SECONDS = "only totals are kept, not what happened in each second"
NOT_FOLLOWED = "there are many names: only those with most hits are followed from second to second"


@dataclass(frozen=True, slots=True)
class Interval:
    """Milliseconds, a share of 1 (failure_rate) or hits per second (rate), as its metric.

    `effective_hits`: the number of independent hits with the same precision; None for the mean and the rate. `detectable`: the rise (of
    the rate: the fall) that `compare` would call worse nine times in ten, if a second run had it; infinite where none up to four times
    the value would. `why`: why `low`, `high` and both others are None.
    """

    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    effective_hits: float | None = None
    detectable: float | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class NamePrecision:
    """One name, or all hits together (both texts empty); `intervals` by metric."""

    method: str
    name: str
    intervals: Mapping[str, Interval]

    def to_json(self) -> dict[str, object]:
        return {metric: {**asdict(one), "detectable": _finite(one.detectable)} for metric, one in self.intervals.items()}


def _finite(value: float | None) -> float | None:
    """JSON has no infinite numbers."""
    return value if value is not None and math.isfinite(value) else None


@dataclass(frozen=True, slots=True)
class Precision:
    """`why`: why no interval can be said at all; "" where they can."""

    confidence: float
    why: str
    overall: NamePrecision
    names: Mapping[SeriesName, NamePrecision] = field(default_factory=dict)


def precision_of(counted: Counted, confidence: float = CONFIDENCE, *, why_no_seconds: str = NO_SECONDS) -> Precision:
    """Of all hits together and of each name; the cost depends on the number of names and seconds, not on the number of hits.

    `why_no_seconds`: why `counted` knows of no seconds, where it knows of none.
    """
    series = {ALL: counted.totals.overall(), **counted.totals.series}
    of_name = {name: Series(one, counted.duration_s) for name, one in series.items() if one.hits}
    seconds = counted.per_second()
    why = why_no_seconds if seconds is None else too_short(seconds.seconds)
    errors: dict[SeriesName, Sequence[tuple[float, float]]] = {}
    if seconds is not None and not why:
        rows = {name: number for number, name in enumerate(seconds.names) if name in of_name}
        influence = influences(seconds, list(rows.values()))
        found = spreads(influence.reshape(-1, influence.shape[-1]), least=-(-LEAST_BLOCK_S // seconds.unit_s))
        pairs = np.stack(found, axis=1).reshape(len(rows), len(METRICS), 2)
        errors = {name: [(float(error), float(freedom)) for error, freedom in one] for name, one in zip(rows, pairs, strict=True)}
    off = chance_of_any(confidence, len(counted.totals.series))
    names = {
        name: NamePrecision(
            name.method,
            name.name,
            {
                metric: _interval(metric, own, errors[name][number] if name in errors else None, confidence, off, why or NOT_FOLLOWED)
                for number, metric in enumerate(METRICS)
            },
        )
        for name, own in of_name.items()
    }
    return Precision(confidence, why, names.pop(ALL, NamePrecision("", "", {})), names)


def _interval(metric: str, series: Series, spread: tuple[float, float] | None, confidence: float, off: float, why: str) -> Interval:
    """`off`: as many standard errors as `compare` wants to see."""
    value = series.value(metric)
    if spread is None or (why := too_few(metric, series.hits)):
        return Interval(metric, value, why=why)
    error, freedom = spread
    reach = student_t((1 + confidence) / 2, freedom)
    low, high = bounds_of(metric, PERCENTILES.get(metric), series, error, reach)
    effective = None
    if metric in PERCENTILES or metric == "failure_rate":
        effective = _effective(PERCENTILES.get(metric, value), error, series.decisive if metric == "failure_rate" else series.hits)
    wide = (high - low) / 2 / NormalDist().inv_cdf((1 + confidence) / 2)  # one standard error, as few blocks know it
    seen = detectable(value, wide, off=off, margin=Limits().margin(metric, value), clustered=series.clustered(metric, error))
    return Interval(metric, value, low, high, effective, seen)


def bounds_of(metric: str, q: float | None, series: Series, error: float, reach: float) -> tuple[float, float]:
    """`reach` standard errors to each side. `q`: the share below a percentile; `error` is of the share above it then.

    Else it is of the mean in nanoseconds, of the share of failures, or of the rate as a share of the rate.
    """
    if q is not None:
        low, high = (float(bound) for bound in series.percentiles(np.array([q - reach * error, q + reach * error])))
        return low, high
    value = series.value(metric)
    match metric:
        case "mean":
            low, high = value - reach * error / 1e6, value + reach * error / 1e6
        case "rate":
            low, high = value * (1 - reach * error), value * (1 + reach * error)
        case _:
            return wilson(value, _effective(value, error, series.decisive), reach)
    return max(0.0, low), high


def _effective(share: float, error: float, hits: int) -> float:
    """How many independent hits would make the share as uncertain; at most all of them."""
    return min(float(hits), share * (1 - share) / error**2) if error > 0 else float(hits)


def wilson(share: float, hits: float, reach: float) -> tuple[float, float]:
    """The score interval of a share of `hits` independent hits (Wilson, Journal of the American Statistical Association 22, 1927).

    It stays between 0 and 1, and says something of a share of 0 too. `reach`: how many standard errors it spans to each side.
    Without a hit the share may be anything.

    >>> [round(bound, 4) for bound in wilson(0.0, 1000, 1.96)]
    [0.0, 0.0038]
    """
    if hits <= 0:
        return 0.0, 1.0
    middle = share + reach**2 / 2 / hits
    width = reach * math.sqrt(share * (1 - share) / hits + reach**2 / 4 / hits**2)
    scale = 1 + reach**2 / hits
    return max(0.0, (middle - width) / scale), min(1.0, (middle + width) / scale)
