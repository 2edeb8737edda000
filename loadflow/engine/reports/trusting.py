"""How far to trust a run's numbers, for its report: two sentences for decision makers, a table for engineers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from loadflow.engine.base.figures import count_text, latency_text, percent_text, rate_text
from loadflow.engine.records.detecting import MOST_TIMES
from loadflow.engine.records.precision import Interval, NamePrecision
from loadflow.engine.records.summary import Summary
from loadflow.engine.records.trust import Trust
from loadflow.engine.reports.bounds import clip

__all__ = ["TrustRow", "TrustWords", "interval_lines", "trust_words"]

MOST_NAMES = 50  # those with most requests
NAME = 200  # characters
LABELS = {"mean": "Mean", "failure_rate": "Failed", "rate": "Rate"}


@dataclass(frozen=True, slots=True)
class TrustRow:
    """Texts of one line; `why` is there where no interval can be said."""

    metric: str
    value: str
    between: str
    effective: str
    detectable: str
    why: str


@dataclass(frozen=True, slots=True)
class TrustWords:
    """`names`: (name, rows of its p95 and p99), those with most requests."""

    sentences: tuple[str, ...]
    confidence: str
    rows: tuple[TrustRow, ...]
    names: tuple[tuple[str, tuple[TrustRow, ...]], ...]
    names_left_out: int


def trust_words(summary: Summary) -> TrustWords | None:
    """None where nothing is known of it: several runs taken together, or a run that is going on."""
    trust = summary.trust
    if trust is None or not trust.precision.overall.intervals:
        return None
    busiest = sorted(summary.series, key=lambda one: -one.count)
    known = {(name.method, name.name): one for name, one in trust.precision.names.items()}
    named = [(one, known[one.method, one.name]) for one in busiest if (one.method, one.name) in known] if len(known) > 1 else []
    return TrustWords(
        sentences=tuple(_sentences(trust)),
        confidence=_percent(trust.precision.confidence),
        rows=tuple(_row(one) for one in trust.precision.overall.intervals.values()),
        names=tuple((clip(f"{one.method} {one.name}".strip(), NAME), _times(found)) for one, found in named[:MOST_NAMES]),
        names_left_out=max(0, len(named) - MOST_NAMES),
    )


def interval_lines(summary: Summary) -> dict[tuple[str, str], list[str]]:
    """Of each (method, name), one line: the intervals that can be said; none where nothing can."""
    if summary.trust is None:
        return {}
    sure = _percent(summary.trust.precision.confidence)
    found = {}
    for name, one in summary.trust.precision.names.items():
        known = [f"{row.metric} {row.between}" for row in map(_row, one.intervals.values()) if not row.why]
        if known:
            found[name.method, name.name] = [f"with {sure} certainty the true values lie in: {', '.join(known)}"]
    return found


def _times(found: NamePrecision) -> tuple[TrustRow, ...]:
    return tuple(_row(found.intervals[metric]) for metric in ("p95", "p99"))


def _sentences(trust: Trust) -> Iterator[str]:
    p95 = trust.precision.overall.intervals["p95"]
    sure = _percent(trust.precision.confidence)
    if p95.low is None or p95.high is None or p95.detectable is None:
        yield f"How far these numbers may be from the true ones can't be said: {p95.why}."
        return
    yield (
        f"95 of 100 requests were answered within {latency_text(p95.value)}; with {sure} certainty the true value lies between "
        f"{latency_text(p95.low)} and {latency_text(p95.high)}."
    )
    if math.isinf(p95.detectable):
        yield f"It takes a longer run to see a change: not even a p95 {MOST_TIMES:g} times as long would surely be seen in the next one."
    else:
        yield f"If the p95 of the next run is longer by {latency_text(p95.detectable)} or more, that will be seen nine times in ten."
    steady = trust.steadiness
    if steady and steady.steady and not steady.warm_up_s:
        yield f"The load was steady from {steady.from_s:.0f} s to {steady.to_s:.0f} s: no drift, step or warm-up was found."
    elif steady and steady.steady:
        yield f"After {steady.warm_up_s:.0f} s of warm-up the load was steady."
    elif steady:
        yield (
            f"The load was not steady: from its first third to its last the mean response time went from {latency_text(steady.first_ms)} "
            f"to {latency_text(steady.last_ms)}, the rate from {rate_text(steady.first_per_s)}/s to {rate_text(steady.last_per_s)}/s."
        )
    if stop := trust.stop:
        yield (
            f"The load ended early because its numbers were known well enough, {stop.said}."
            if stop.met
            else (f"The load went on as long as it might, and its numbers were not known as well as was asked, {stop.said}.")
        )
    if ours := trust.ours:
        yield f"Of the {latency_text(ours.p99_ms)} at the p99 up to {latency_text(ours.ours_ms)} is the load generator's own."
    if (books := trust.books) and books.balance:
        yield (
            f"The books balance: {books.by_times:,.3g} requests in flight on average, by their times and by the generator's own count "
            f"({percent_text(books.off)} apart)."
        )
    if hidden := trust.hidden:
        yield (
            f"Users waited for each answer. Visitors who do not wait, one each {latency_text(hidden.every_ms)} for each user, would have "
            f"met about {latency_text(hidden.p95_ms)} at the p95 and {latency_text(hidden.p99_ms)} at the p99."
        )


def _row(one: Interval) -> TrustRow:
    between = "–" if one.low is None or one.high is None else f"{_value(one.metric, one.low)} … {_value(one.metric, one.high)}"
    return TrustRow(
        LABELS.get(one.metric, one.metric),
        _value(one.metric, one.value),
        between,
        "–" if one.effective_hits is None else count_text(round(one.effective_hits)),
        "–" if one.detectable is None else _change(one.metric, one.detectable),
        one.why,
    )


def _value(metric: str, value: float) -> str:
    if metric == "failure_rate":
        return percent_text(value)
    return f"{rate_text(value)}/s" if metric == "rate" else latency_text(value)


def _change(metric: str, value: float) -> str:
    if math.isinf(value):
        return f"over {MOST_TIMES:g} times"
    return f"{value * 100:.2g} points" if metric == "failure_rate" else _value(metric, value)


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"
