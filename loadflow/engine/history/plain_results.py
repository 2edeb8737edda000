"""A run's numbers under LoadPilot's names, in a file without a run folder; and the numbers of two runs side by side."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from loadflow.engine.base.counted import counted
from loadflow.engine.base.files import write_atomically
from loadflow.engine.base.json_reading import read_json
from loadflow.engine.base.json_value import JsonMapping, JsonObject
from loadflow.engine.plan.pace import peak_per_s
from loadflow.errors import Mistake, ScriptError

if TYPE_CHECKING:
    from loadflow.engine.records.run import Run

__all__ = ["RELATIVE", "ResultChange", "changes_of", "read_results", "results_of", "write_results"]

RELATIVE = 0.1  # a change that is smaller counts for nothing


@dataclass(frozen=True, slots=True)
class _Figure:
    """`absolute`: a change by less counts for nothing, whatever its share is."""

    key: str
    title: str
    higher_is_better: bool
    absolute: float


FIGURES = (
    _Figure("rps_actual", "RPS actual", True, 0.1),
    _Figure("p50_ms", "p50 ms", False, 1.0),
    _Figure("p95_ms", "p95 ms", False, 1.0),
    _Figure("p99_ms", "p99 ms", False, 1.0),
    _Figure("max_ms", "max ms", False, 1.0),
    _Figure("error_rate_pct", "error rate %", False, 0.1),
)


@dataclass(frozen=True, slots=True)
class ResultChange:
    """`share`: by how much of the baseline it changed; None where that is 0."""

    title: str
    baseline: float
    current: float
    share: float | None
    is_worse: bool

    @property
    def text(self) -> str:
        """
        >>> ResultChange("p99 ms", 10.0, 15.0, 0.5, True).text
        '+50.0 %'
        """
        if self.share is None:
            return "0.0 %" if self.current == self.baseline else "from 0"
        return f"{self.share * 100:+.1f} %"


def results_of(run: Run, target: str) -> JsonObject:
    """LoadPilot's fields, and the verdict."""
    summary = run.summary()
    overall, latency, knee, pace = summary.overall, summary.overall.latency, summary.knee, run.pace
    peak = None if pace is None else peak_per_s(pace.segments)
    results: dict[str, object] = {
        "scenario": run.facts.label,
        "target_url": target,
        "rps_target": peak,
        "rps_actual": round(overall.rate_per_s, 2),
        "requests_total": overall.count,
        "errors_total": overall.failures,
        "error_rate_pct": round(overall.failure_rate * 100, 3),
        "p50_ms": latency.p50_ms,
        "p95_ms": latency.p95_ms,
        "p99_ms": latency.p99_ms,
        "max_ms": latency.max_ms,
        "duration_secs": round(summary.duration_s, 3),
        "verdict": str(summary.verdict.kind),
    }
    if knee is not None and knee.held is not None:
        results["knee_point"] = {
            "step": knee.held.step,
            "total_steps": knee.steps,
            "rps": knee.held.asked_per_s,
            "rps_actual": round(knee.held.achieved_per_s, 2),
            "max_rps": peak,
            "p99_ms": knee.held.p99_ms,
            "error_rate_pct": round(knee.held.failure_rate * 100, 3),
        }
    return results


def write_results(results: Mapping[str, object], path: str | Path) -> None:
    """As JSON; folders are made."""
    write_atomically(Path(path), json.dumps(results, indent=2) + "\n")


def read_results(path: str | Path) -> JsonObject:
    """What `write_results` or LoadPilot wrote. Raises ScriptError."""
    hint = "write one with --save-baseline or --results-json"
    try:
        found: object = read_json(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ScriptError([Mistake("", f"can't be read: {error.strerror}", hint)], str(path)) from None
    except ValueError as error:
        raise ScriptError([Mistake("", f"is no JSON: {error}", hint)], str(path)) from None
    if not isinstance(found, dict):
        raise ScriptError([Mistake("", "is no object with results", hint)], str(path))
    wrong = [one.key for one in FIGURES if one.key in found and not _is_number(found[one.key])]
    if wrong:
        raise ScriptError([Mistake(key, f"is no number of 0 or more: {found[key]!r}", hint) for key in wrong], str(path))
    if not any(one.key in found for one in FIGURES):
        keys = ", ".join(one.key for one in FIGURES)
        raise ScriptError([Mistake("", f"has none of the {counted(len(FIGURES), 'figure')} that are compared: {keys}", hint)], str(path))
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")


def changes_of(baseline: JsonMapping, current: JsonMapping) -> Iterator[ResultChange]:
    """Of each figure that both have."""
    for one in FIGURES:
        if one.key not in baseline or one.key not in current:
            continue
        before, now = float(baseline[one.key]), float(current[one.key])
        change = before - now if one.higher_is_better else now - before
        share = None if before == 0 else (now - before) / before
        is_worse = change >= one.absolute and (before == 0 or change / before >= RELATIVE)
        yield ResultChange(one.title, before, now, share, is_worse)
