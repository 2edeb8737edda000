"""The command that compares two kept runs: like ones only, unless told."""

from __future__ import annotations

import math

from loadflow.engine.base.figures import latency_text, percent_text, rate_text
from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.history.kept_runs import KeptRun
from loadflow.engine.records.compare import Change, ChangeKind, Comparison, Limits, NameChanges, compare
from loadflow.engine.records.detecting import MOST_TIMES
from loadflow.engine.records.fingerprint import unlike
from loadflow.engine.script.mistakes import shorten
from loadflow.errors import CommandError, Mistake

__all__ = ["change_text", "compare_kept", "interval_text", "limits_of", "seen_text", "share_of", "value_text", "where_text"]


def compare_kept(
    baseline: KeptRun,
    current: KeptRun,
    limits: Limits,
    *,
    allow_unlike: bool = False,
    way_out: str = "say allow_unlike to compare all the same",
) -> tuple[JsonObject, Comparison]:
    """The comparison, also as JSON with both runs' names and what is unlike in them. Raises CommandError for unlike runs."""
    differences = unlike(baseline.facts, current.facts)
    if differences and not allow_unlike:
        mistakes = [Mistake("", f"the runs are unlike in {line}") for line in differences]
        mistakes[-1] = Mistake("", mistakes[-1].message, way_out)
        raise CommandError(mistakes)
    comparison = compare(baseline.counted, current.counted, limits)
    about = {"baseline": _about(baseline), "current": _about(current), "unlike": differences}
    return {"format": "loadflow-comparison", "version": 1, **about, **comparison.to_json()}, comparison


def limits_of(
    relative: float | str = "10%", absolute_ms: float = 1.0, absolute_failure_rate: float | str = "0.1%", confidence: float = 0.95
) -> Limits:
    """Raises CommandError that names the limit which can't be."""
    mistakes: list[Mistake] = []
    found = Limits(
        relative=_number("relative", relative, mistakes, "give a share from 0, such as 0.1 or 10%"),
        absolute_ms=_number("absolute_ms", absolute_ms, mistakes, "give milliseconds from 0"),
        absolute_failure_rate=_number(
            "absolute_failure_rate", absolute_failure_rate, mistakes, "give a share from 0, such as 0.001 or 0.1%"
        ),
        confidence=_number("confidence", confidence, mistakes, "give a share from 0.5 to 0.999, such as 0.95"),
    )
    if not mistakes and not 0.5 <= found.confidence <= 0.999:
        mistakes.append(Mistake("confidence", f"{found.confidence:g} is out of range", "give a share from 0.5 to 0.999, such as 0.95"))
    if mistakes:
        raise CommandError(mistakes)
    return found


def share_of(place: str, given: object) -> float:
    """0.02 of "2%" or 0.02. Raises CommandError that names `place`."""
    mistakes: list[Mistake] = []
    found = _number(place, given, mistakes, "give a share from 0, such as 0.02 or 2%")
    if mistakes:
        raise CommandError(mistakes)
    return found


def _number(place: str, given: object, mistakes: list[Mistake], hint: str) -> float:
    try:
        if isinstance(given, str) and given.strip().endswith("%"):
            value = float(given.strip()[:-1]) / 100
        elif isinstance(given, str | int | float) and not isinstance(given, bool):
            value = float(given)
        else:
            raise ValueError
        if not 0 <= value < float("inf"):
            raise ValueError
    except ValueError:
        mistakes.append(Mistake(place, f"{shorten(given)} is no such number", hint))
        return 0.0
    return value


def value_text(metric: str, value: float) -> str:
    """A metric's value as people read it."""
    match metric:
        case "failure_rate":
            return percent_text(value)
        case "rate":
            return f"{rate_text(value)}/s"
        case _:
            return latency_text(value)


def change_text(change: Change) -> str:
    """The change with its sign: relative to the baseline, absolute where that is 0; a failure rate's in percentage points.

    >>> change_text(Change("p95", 100, 112, 12, 0.12, 9, 15, ChangeKind.WORSE))
    '+12.0 %'
    """
    if change.metric != "failure_rate" and change.relative is not None:
        return f"{change.relative * 100:+.1f} %"
    return _difference(change.metric, change.absolute)


def interval_text(change: Change) -> str:
    """Between which differences the change lies; "–" where that is not known."""
    if change.low is None or change.high is None:
        return "–"
    return f"{_difference(change.metric, change.low)} … {_difference(change.metric, change.high)}"


def seen_text(change: Change) -> str:
    """What change such runs would have shown nine times in ten; "" of one that was found, and where nothing is known.

    >>> seen_text(Change("p95", 100, 101, 1, 0.01, -2, 4, ChangeKind.SAME, detectable=14))
    '14.0 % would be seen'
    """
    if change.detectable is None or change.verdict in (ChangeKind.WORSE, ChangeKind.BETTER):
        return ""
    if math.isinf(change.detectable):
        return f"not even {MOST_TIMES:g} times as much would surely be seen"
    if change.metric != "failure_rate" and change.baseline > 0:
        return f"{change.detectable / change.baseline * 100:.1f} % would be seen"
    return f"{_difference(change.metric, change.detectable).removeprefix('+')} would be seen"


def _difference(metric: str, value: float) -> str:
    if metric == "failure_rate":
        return f"{value * 100:+.2f} points"
    return f"{'-' if value < 0 else '+'}{value_text(metric, abs(value))}"


def where_text(one: NameChanges) -> str:
    return f"{one.method} {one.name}".strip() or "all"


def _about(run: KeptRun) -> dict[str, object]:
    return {
        "name": run.name,
        "id": run.facts.id,
        "label": run.label,
        "revision": run.facts.revision,
        "started_unix_s": run.facts.started_unix_s,
        "verdict": run.verdict,
        "hits": run.counted.totals.hits,
        "duration_s": run.counted.duration_s,
    }
