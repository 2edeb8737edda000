"""Thresholds: what a script asks of its numbers, as expressions such as `p95 < 500 ms`; parsed and decided here, purely.

An expression is METRIC OPERATOR NUMBER [UNIT]:

    p50 p95 p99.9 median mean avg min max    response time, ms or s; `service.` before it: from when it was sent
    count requests failures retries late     numbers of hits
    dropped                                  passes of a rate that were not made; over all names only
    failure_rate late_rate                   shares of the hits, 0 to 1 or %
    rate                                     hits per second
    received_bytes sent_bytes                B, kB, MB

Attempts that a retry replaced count neither as hits nor as failures, as in the verdict.
"""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from loadflow.engine.records.histogram import Histogram
from loadflow.engine.records.names import SeriesName
from loadflow.engine.records.totals import SeriesTotals, Totals

__all__ = ["METRICS", "Expression", "Threshold", "ThresholdResult", "ThresholdState", "decide", "parse_expression"]

OPERATORS: Mapping[str, Callable[[float, float], bool]] = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
UNITS: Mapping[str, Mapping[str, float]] = {
    "time": {"": 1.0, "ms": 1.0, "s": 1000.0},
    "count": {"": 1.0},
    "share": {"": 1.0, "%": 0.01},
    "rate": {"": 1.0, "/s": 1.0},
    "bytes": {"": 1.0, "B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9},
}
TIMES = ("median", "mean", "avg", "min", "max")
METRICS: Mapping[str, str] = {
    "count": "count",
    "requests": "count",
    "failures": "count",
    "retries": "count",
    "late": "count",
    "dropped": "count",
    "failure_rate": "share",
    "late_rate": "share",
    "rate": "rate",
    "received_bytes": "bytes",
    "sent_bytes": "bytes",
    **dict.fromkeys(TIMES, "time"),
}
_EXPRESSION = re.compile(r"\s*(?P<metric>[\w.]+)\s*(?P<operator><=|>=|<|>)\s*(?P<number>[-+\d.eE_]+)\s*(?P<unit>%|/s|[A-Za-z]*)\s*")
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,3})?|100)")
# metrics that are nothing to judge while there is no hit; `count` and its kin are measured by their absence too
_COUNTED = ("count", "requests", "rate", "dropped")


@dataclass(frozen=True, slots=True)
class Expression:
    """`limit` in milliseconds, hits, shares of 1, hits per second or bytes, by the metric."""

    text: str
    metric: str  # without `service.`
    service: bool
    operator: str
    limit: float

    @property
    def kind(self) -> str:
        return "time" if _PERCENTILE.fullmatch(self.metric) else METRICS[self.metric]

    @property
    def is_upper(self) -> bool:
        """Whether the value has to stay below the limit."""
        return self.operator.startswith("<")


def parse_expression(text: str) -> Expression:
    """Raises ValueError, whose two arguments are what is wrong and the way out.

    >>> parse_expression("p99.9 <= 1.5 s").limit
    1500.0
    """
    match = _EXPRESSION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:60]!r} is no threshold", "write METRIC < NUMBER, such as p95 < 500 or failure_rate <= 1%")
    written = match["metric"]
    service = written.startswith("service.")
    metric = written.removeprefix("service.").removeprefix("response.")
    percentile = _PERCENTILE.fullmatch(metric)
    kind = "time" if percentile else METRICS.get(metric)
    if kind is None:
        raise ValueError(f"{written!r} is no metric", f"metrics: p50 … p99.9, {', '.join(METRICS)}")
    if kind != "time" and "." in written:
        raise ValueError(f"{written!r}: only times are told apart by service and response", f"write {metric}")
    try:
        number = float(match["number"])
    except ValueError:
        raise ValueError(f"{match['number']!r} is no number", "write it like 500 or 0.01") from None
    if match["unit"] not in UNITS[kind]:
        raise ValueError(f"{match['unit']!r} is no unit of {written}", f"units: {', '.join(filter(None, UNITS[kind])) or 'none'}")
    if number < 0:
        raise ValueError(f"{number:g} is below 0, and {written} never is", "write a limit of 0 or more")
    return Expression(" ".join(text.split()), metric, service, match["operator"], number * UNITS[kind][match["unit"]])


@dataclass(frozen=True, slots=True)
class Threshold:
    """One of a load's thresholds, as it stands in its run folder.

    `name` None: over all names; it may have shell wildcards. `window` is (from, to) in seconds since the load began; None: all of it.
    """

    expression: str
    name: str | None = None
    window: tuple[float, float] | None = None
    min_samples: int = 1
    abort_on_fail: bool = False
    abort_delay_s: float = 10.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Threshold:
        return cls(**{**data, "window": tuple(data["window"]) if data["window"] else None})

    @property
    def scope(self) -> str:
        """Where it holds, in words; "" for all of the load."""
        where = f"of {self.name}" if self.name is not None else ""
        when = f"from {self.window[0]:g} s to {self.window[1]:g} s" if self.window else ""
        return " ".join(filter(None, (where, when)))


class ThresholdState(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"  # too few samples to say


@dataclass(frozen=True, slots=True)
class ThresholdResult:
    """`limit` and `observed` in the expression's own base unit; `observed` None: there was nothing to observe."""

    expression: str
    scope: str
    state: ThresholdState
    limit: float
    observed: float | None
    samples: int
    unit: str

    @property
    def text(self) -> str:
        """One sentence."""
        what = f"{self.expression}{' ' + self.scope if self.scope else ''}"
        if self.state is ThresholdState.INCONCLUSIVE:
            return f"{what}: too few samples to say ({self.samples:,})"
        return f"{what}: observed {self.observed_text} ({self.samples:,} samples)"

    @property
    def observed_text(self) -> str:
        if self.observed is None:
            return "–"
        if self.unit == "%":
            return f"{self.observed:.3%}"
        return f"{self.observed:,.0f}" if self.unit == "" else f"{self.observed:,.4g} {self.unit}"


def decide(threshold: Threshold, totals: Totals, duration_s: float) -> ThresholdResult:
    """`totals` are those of the threshold's window, `duration_s` how long that was."""
    expression = parse_expression(threshold.expression)
    series = _selected(threshold.name, totals)
    samples = series.hits - series.superseded
    observed = _observed(expression, series, samples, totals, duration_s)
    unit = {"time": "ms", "share": "%", "rate": "/s", "bytes": "B", "count": ""}[expression.kind]
    holds = observed is not None and OPERATORS[expression.operator](observed, expression.limit)
    if samples >= max(1, threshold.min_samples):
        state = ThresholdState.PASSED if holds else ThresholdState.FAILED
    elif expression.metric in _COUNTED and observed is not None and not holds:
        state = ThresholdState.FAILED  # that there were too few is what it is about
    else:
        state = ThresholdState.INCONCLUSIVE
    return ThresholdResult(expression.text, threshold.scope, state, expression.limit, observed, samples, unit)


def _selected(name: str | None, totals: Totals) -> SeriesTotals:
    if name is None:
        return totals.overall()
    merged = SeriesTotals()
    for known, one in totals.series.items():
        if is_named(known, name):
            merged.merge(one)
    return merged


def is_named(series: SeriesName, name: str) -> bool:
    """Whether `name` means this series: by its name, by method and name, or with shell wildcards."""
    texts = (series.name, f"{series.method} {series.name}")
    return name in texts or any(fnmatch.fnmatchcase(text, name) for text in texts)


def _observed(expression: Expression, series: SeriesTotals, samples: int, totals: Totals, duration_s: float) -> float | None:
    failures = series.failures - series.superseded_failed
    match expression.metric:
        case "count" | "requests":
            return samples
        case "failures":
            return failures
        case "failure_rate":
            return failures / samples if samples else None
        case "late_rate":
            return series.late / series.hits if series.hits else None
        case "rate":
            return samples / duration_s if duration_s > 0 else 0.0
        case "dropped":
            return totals.passes.dropped
        case "retries" | "late" | "received_bytes" | "sent_bytes":
            return float(getattr(series, expression.metric))
    # service times are kept apart only where a rate says when a hit is due; else they are the response times
    times = series.service if expression.service and series.service.count else series.response()
    return _time_ms(expression.metric, times)


def _time_ms(metric: str, times: Histogram) -> float | None:
    if times.count == 0:
        return None
    percentile = _PERCENTILE.fullmatch(metric)
    if percentile:
        return times.quantile_ns(float(percentile[1]) / 100) / 1e6
    match metric:
        case "median":
            return times.quantile_ns(0.5) / 1e6
        case "min":
            return times.min_ns / 1e6
        case "max":
            return times.max_ns / 1e6
    return times.mean_ns / 1e6


def worst_state(results: Iterable[ThresholdResult]) -> ThresholdState:
    """Failed if any is, else inconclusive if any is."""
    states = {result.state for result in results}
    for state in (ThresholdState.FAILED, ThresholdState.INCONCLUSIVE):
        if state in states:
            return state
    return ThresholdState.PASSED
