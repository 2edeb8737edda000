"""Thresholds: what a script asks of its numbers, as expressions such as `p95 < 500 ms`; parsed and decided here, purely.

An expression is METRIC OPERATOR NUMBER [UNIT]:

    p50 p95 p99.9 median mean avg min max    response time, ms or s; `service.` before it: from when it was sent; `ttfb.`, `dns.`,
                                             `connect.`, `tls.`, `send.`, `wait.`, `receive.`: a part of that (records/timings.py)
    count requests failures retries late     numbers of hits
    dropped                                  passes of a rate that were not made; over all names only
    failure_rate late_rate                   shares of the hits, 0 to 1 or %
    rate                                     hits per second, over the time of the load or of the window
    received_bytes sent_bytes                B, kB, MB

`failures` and `failure_rate` are of the hits that decide, as in the verdict: attempts that a retry replaced are left out.
"""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from loadflow.engine.base.counted import counted
from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.records.names import SeriesName
from loadflow.engine.records.timings import TIMINGS

if TYPE_CHECKING:  # they bring numpy; expressions are parsed without it
    from loadflow.engine.records.histogram import Histogram
    from loadflow.engine.records.totals import SeriesTotals, Totals

__all__ = [
    "HIGHEST_LIMIT",
    "METRICS",
    "WITH_INTERVAL",
    "Expression",
    "Threshold",
    "ThresholdResult",
    "ThresholdState",
    "decide",
    "is_named",
    "parse_expression",
    "selected",
    "timing_of",
    "undecided",
    "worst_state",
]

OPERATORS: Mapping[str, Callable[[float, float], bool]] = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
UNITS: Mapping[str, Mapping[str, float]] = {
    "time": {"": 1.0, "ms": 1.0, "s": 1000.0},
    "count": {"": 1.0},
    "share": {"": 1.0, "%": 0.01},
    "rate": {"": 1.0, "/s": 1.0},
    "bytes": {"": 1.0, "B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9},
}
UNIT_OF: Mapping[str, str] = {"time": "ms", "share": "share", "rate": "/s", "bytes": "B", "count": ""}  # of results
HIGHEST_LIMIT = 1_000_000_000_000_000  # as it is written: nothing that is measured comes near
SHORTEST_RATE_S = 1.0  # a rate over less time than that says nothing: one hit in 5 ms is no 200/s
LARGER_BYTES = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))
PREFIXES = ("response", "service", *TIMINGS)
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
WITH_INTERVAL = ("mean", "avg", "failure_rate", "rate")  # and every percentile below 100
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
    timing: str = ""  # which part of a hit's time it is about; "" for the response or service time

    @property
    def kind(self) -> str:
        return "time" if _PERCENTILE.fullmatch(self.metric) else METRICS[self.metric]

    @property
    def q(self) -> float | None:
        """The share of the hits below a percentile, 0 to 1; None if the metric is not a percentile."""
        percentile = _PERCENTILE.fullmatch(self.metric)
        return 0.5 if self.metric == "median" else float(percentile[1]) / 100 if percentile else None

    @property
    def has_interval(self) -> bool:
        """Whether it can be said how far the observed value may be from the true one."""
        return (self.q is not None and self.q < 1) or self.metric in WITH_INTERVAL

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
        raise ValueError(f"{text[:60]!r} is not a threshold", "write METRIC < NUMBER, such as p95 < 500 or failure_rate <= 1%")
    written = match["metric"]
    prefix, _, metric = written.rpartition(".") if written.split(".")[0] in PREFIXES else ("", "", written)
    percentile = _PERCENTILE.fullmatch(metric)
    kind = "time" if percentile else METRICS.get(metric)
    if kind is None:
        way_out = f"metrics: p50 … p99.9, {', '.join(METRICS)}; before a time: {', '.join(f'{one}.' for one in PREFIXES)}"
        raise ValueError(f"{written!r} is not a metric", way_out)
    if kind != "time" and prefix:
        raise ValueError(f"{written!r}: only times can be prefixed with service, response or a timing", f"write {metric}")
    try:
        number = float(match["number"])
    except ValueError:
        raise ValueError(f"{match['number']!r} is not a number", "write it like 500 or 0.01") from None
    if match["unit"] not in UNITS[kind]:
        raise ValueError(f"{match['unit']!r} is not a unit of {written}", f"units: {', '.join(filter(None, UNITS[kind])) or 'none'}")
    if number < 0:
        raise ValueError(f"{number:g} is below 0, and {written} never is", "write a limit of 0 or more")
    if not number <= HIGHEST_LIMIT:
        raise ValueError(f"{match['number']} is out of range", f"write a limit of at most {HIGHEST_LIMIT:,}")
    limit = number * UNITS[kind][match["unit"]]
    timing = prefix if prefix in TIMINGS else ""
    return Expression(" ".join(text.split()), metric, prefix == "service", match["operator"], limit, timing)


@dataclass(frozen=True, slots=True)
class Threshold:
    """One of a load's thresholds, as it stands in its run folder.

    `name` None: over all names; it may have shell wildcards. `window` is (from, to) in seconds since the load began; None: all of it.
    `steady`: from the end of the ramp and of the warm-up on, which is known when the load is over.
    """

    expression: str
    name: str | None = None
    window: tuple[float, float] | None = None
    min_samples: int = 1
    abort_on_fail: bool = False
    abort_delay_s: float = 10.0
    sure: float | None = None  # with this probability the true value must be on the limit's right side; None: the observed one decides
    steady: bool = False

    def to_json(self) -> JsonObject:
        return asdict(self)

    @property
    def scope(self) -> str:
        """Where it holds, in words; "" for all of the load."""
        where = f"of {self.name}" if self.name is not None else ""
        when = f"from {self.window[0]:g} s to {self.window[1]:g} s" if self.window else ""
        if self.steady:
            when = "in the steady phase" if self.window is None else f"in the steady phase, from {self.window[0]:g} s"
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
    unit: str  # of both: "ms", "B", "/s", "share" (of 1), or "" for a number of hits
    note: str = ""  # why nothing can be said, where that is not the number of samples; of a failed one, which samples do not hold
    low: float | None = None  # of a threshold with `sure`: the true value lies between these two
    high: float | None = None
    promql: str = ""  # the query, of a threshold on what Prometheus knows of the target

    @property
    def text(self) -> str:
        """One sentence."""
        what = f"{self.expression}{' ' + self.scope if self.scope else ''}"
        if self.state is ThresholdState.INCONCLUSIVE:
            return f"{what}: {self.note or f'too few samples to say ({self.samples:,})'}"
        return f"{what}: observed {self.observed_text} ({counted(self.samples, 'sample')}{'; ' + self.note if self.note else ''})"

    @property
    def observed_text(self) -> str:
        if self.observed is None:
            return "–"
        between = "" if self.low is None or self.high is None else f" [{_text_of(self.low, self.unit)}, {_text_of(self.high, self.unit)}]"
        return f"{_text_of(self.observed, self.unit)}{between}"

    @property
    def limit_text(self) -> str:
        """In the unit that people write: a share as percent, bytes as kB, MB or GB."""
        return _text_of(self.limit, self.unit)


def _text_of(value: float, unit: str) -> str:
    match unit:
        case "share" | "%":  # "%" in runs of older releases, with the same value
            return f"{value * 100:,.6g} %"
        case "B":
            size, name = next(((size, name) for name, size in LARGER_BYTES if value >= size), (1.0, "B"))
            return f"{value / size:,.10g} {name}" if value % size == 0 else f"{value / size:,.4g} {name}"
        case "":
            return f"{value:,.10g}"
    return f"{value:,.4g} {unit}" if value < 1000 else f"{value:,.0f} {unit}"


def decide(threshold: Threshold, totals: Totals, duration_s: float) -> ThresholdResult:
    """`totals` are those of the threshold's window, `duration_s` how much of the load's time that was."""
    expression = parse_expression(threshold.expression)
    series = selected(threshold.name, totals)
    samples = timing_of(series, expression).count if expression.timing else series.final_hits
    observed = _observed(expression, series, totals, duration_s)
    unit = UNIT_OF[expression.kind]
    if expression.kind == "rate" and duration_s < SHORTEST_RATE_S:
        note = f"{duration_s:.3g} s is too short to measure a rate (at least {SHORTEST_RATE_S:g} s)"
        inconclusive = ThresholdState.INCONCLUSIVE
        return ThresholdResult(expression.text, threshold.scope, inconclusive, expression.limit, observed, samples, unit, note)
    holds = observed is not None and OPERATORS[expression.operator](observed, expression.limit)
    if samples >= max(1, threshold.min_samples):
        state = ThresholdState.PASSED if holds else ThresholdState.FAILED
    elif expression.metric in _COUNTED and observed is not None and not holds:
        state = ThresholdState.FAILED  # that there were too few is what it is about
    else:
        state = ThresholdState.INCONCLUSIVE
    return ThresholdResult(expression.text, threshold.scope, state, expression.limit, observed, samples, unit)


def undecided(threshold: Threshold, why: str) -> ThresholdResult:
    """Where there is nothing to hold it against."""
    expression = parse_expression(threshold.expression)
    return ThresholdResult(
        expression.text, threshold.scope, ThresholdState.INCONCLUSIVE, expression.limit, None, 0, UNIT_OF[expression.kind], why
    )


def selected(name: str | None, totals: Totals) -> SeriesTotals:
    """The counts that a threshold's `name` means, all together."""
    if name is None:
        return totals.overall()
    from loadflow.engine.records.totals import SeriesTotals

    merged = SeriesTotals()
    for known, one in totals.series.items():
        if is_named(known, name):
            merged.merge(one)
    return merged


def is_named(series: SeriesName, name: str) -> bool:
    """Whether `name` means this series: by its name, by method and name, or with shell wildcards."""
    texts = (series.name, f"{series.method} {series.name}")
    return name in texts or any(fnmatch.fnmatchcase(text, name) for text in texts)


def _observed(expression: Expression, series: SeriesTotals, totals: Totals, duration_s: float) -> float | None:
    match expression.metric:
        case "count" | "requests":
            return series.hits
        case "failures":
            return series.final_failures
        case "failure_rate":
            return series.failure_rate if series.final_hits else None
        case "late_rate":
            return series.late / series.hits if series.hits else None
        case "rate":
            return series.hits / duration_s if duration_s > 0 else 0.0
        case "dropped":
            return totals.passes.dropped
        case "retries" | "late" | "received_bytes" | "sent_bytes":
            return float(getattr(series, expression.metric))
    # service times are kept apart only where a rate says when a hit is due; else they are the response times
    if expression.timing:
        return _time_ms(expression.metric, timing_of(series, expression))
    times = series.service if expression.service and series.service.count else series.response()
    return _time_ms(expression.metric, times)


def timing_of(series: SeriesTotals, expression: Expression) -> Histogram:
    """The times that an expression with a timing is about."""
    from loadflow.engine.records.histogram import Histogram

    return series.timings.get(expression.timing) or Histogram()


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
