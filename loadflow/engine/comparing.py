"""The command that compares two kept runs: like ones only, unless told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loadflow.engine.kept_runs import KeptRun, NoPrevious, find_pair
from loadflow.engine.records.compare import Change, ChangeKind, Comparison, Limits, NameChanges, compare
from loadflow.engine.records.fingerprint import unlike
from loadflow.engine.reports.figures import latency_text, percent_text, rate_text
from loadflow.engine.session import current_session
from loadflow.errors import CommandError, Mistake, ThresholdsNotMet

__all__ = ["change_text", "compare_kept", "diff_runs", "interval_text", "limits_of", "value_text", "where_text"]

MOST_BREACHES = 20


def diff_runs(
    baseline: str | int = "previous",
    current: str | int = "latest",
    database_path: str | None = None,
    relative: float | str = "10%",
    absolute_ms: float = 1.0,
    absolute_failure_rate: float | str = "0.1%",
    confidence: float = 0.95,
    allow_unlike: bool = False,
    fail_on_worse: bool = False,
    allow_first: bool = False,
    *,
    url: str | None = None,
) -> dict[str, Any]:
    """What changed from one kept run to another: percentiles, mean, failure rate and rate, each with an interval and a verdict.

    A run is named by its folder, its id below the runs folder, `latest`, or `previous`: the one before the latest of the same label;
    with `database_path` or `url` by its number there. `relative` and `absolute_failure_rate` are shares, or texts such as `"10%"`.
    Raises CommandError for a run that is not there, or for runs that are unlike in plan, engine or machine, unless
    `allow_unlike`; with `fail_on_worse` ThresholdsNotMet where something is worse, which makes the script's verdict failed. With
    `allow_first` a label's first run, which has no previous one, is unclear instead; then only `verdict` and `why` are returned.

    >>> diff_runs("previous", "latest", fail_on_worse=True)["verdict"]  # doctest: +SKIP
    'same'
    """
    from loadflow.engine.store.place import place_of

    limits = limits_of(relative, absolute_ms, absolute_failure_rate, confidence)
    place = place_of(database_path, url) if database_path is not None or url is not None else None
    try:
        ours, theirs = find_pair(baseline, current, Path(current_session().runs_dir), place)
    except NoPrevious as error:
        if not allow_first:
            raise
        return {"format": "loadflow-comparison", "version": 1, "verdict": str(ChangeKind.UNCLEAR), "why": error.mistakes[0].message}
    result, comparison = compare_kept(ours, theirs, limits, allow_unlike=allow_unlike)
    if fail_on_worse and comparison.verdict is ChangeKind.WORSE:
        raise ThresholdsNotMet(_breaches(comparison, ours))
    return result


def compare_kept(
    baseline: KeptRun,
    current: KeptRun,
    limits: Limits,
    *,
    allow_unlike: bool = False,
    way_out: str = "say allow_unlike to compare all the same",
) -> tuple[dict[str, Any], Comparison]:
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
        mistakes.append(Mistake(place, f"{given!r} is no such number", hint))
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
    """Between which differences the change lies."""
    return f"{_difference(change.metric, change.low)} … {_difference(change.metric, change.high)}"


def _difference(metric: str, value: float) -> str:
    if metric == "failure_rate":
        return f"{value * 100:+.2f} points"
    return f"{'-' if value < 0 else '+'}{value_text(metric, abs(value))}"


def where_text(one: NameChanges) -> str:
    return f"{one.method} {one.name}".strip() or "all"


def _breaches(comparison: Comparison, baseline: KeptRun) -> Sequence[str]:
    worse = comparison.marked(ChangeKind.WORSE)
    lines = [
        f"{change.metric} of {where_text(one)} is worse than in {baseline.name}: {value_text(change.metric, change.baseline)}, "
        f"now {value_text(change.metric, change.current)} ({change_text(change)})"
        for one, change in worse[:MOST_BREACHES]
    ]
    return [*lines, *([f"and {len(worse) - MOST_BREACHES} more are worse"] if len(worse) > MOST_BREACHES else [])]


def _about(run: KeptRun) -> dict[str, Any]:
    return {
        "name": run.name,
        "id": run.facts.id,
        "label": run.label,
        "started_unix_s": run.facts.started_unix_s,
        "verdict": run.verdict,
        "hits": run.counted.totals.hits,
        "duration_s": run.counted.duration_s,
    }
