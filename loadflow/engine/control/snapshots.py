"""A run as a client of the control plane sees it: seconds, results and verdicts as JSON of bounded size."""

from __future__ import annotations

import json
from collections.abc import Iterable

from loadflow.engine.base.redact import Redactor
from loadflow.engine.base.verdict import Verdict, VerdictKind
from loadflow.engine.control.frames import MAX_FRAME_BYTES
from loadflow.engine.records.histogram import Histogram
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.session.execute import ActionResult, Results

__all__ = ["action_json", "legacy_values", "result_json", "snapshot_json", "verdict_json"]

LARGEST_VALUE_BYTES = 256 * 1024
LARGEST_RESULT_BYTES = MAX_FRAME_BYTES - 64 * 1024  # the envelope, and a reader's other spelling, fit beside it
LONGEST_ERROR = 4_000


def snapshot_json(run: Run, snapshot: Snapshot) -> dict[str, object]:
    """One second of a load: counts of that second alone, response times of all its hits in milliseconds (null: no hits).

    `passes`: of a rate, how many were due, started and were dropped; null: users decide.
    """
    row = snapshot.row()
    both = Histogram.merged((row.succeeded, row.failed))
    return {
        "load": run.facts.id,
        "second": snapshot.second,
        "unix_s": snapshot.unix_s,
        "planned_s": snapshot.planned_s,
        "hits": both.count,
        "failures": row.failed.count,
        "response_ms": {f"p{percent:g}": _ms(both.quantile_ns(percent / 100)) for percent in (50, 95, 99)} if both.count else None,
        "passes": row.passes.to_json() if run.pace is not None else None,
        "users": row.health.users,
        "in_flight": row.health.in_flight,
        "cpu": row.health.cpu,
        "lag_ms": row.health.lag_ms,
    }


def _ms(ns: float) -> float:
    return round(ns / 1e6, 3)


def verdict_json(verdict: Verdict, redactor: Redactor) -> dict[str, object]:
    """As a summary has it."""
    return {
        "verdict": str(verdict.kind),
        "passed": verdict.kind is VerdictKind.PASSED,
        "reasons": [redactor.text(reason)[:LONGEST_ERROR] for reason in verdict.reasons[:100]],
        "exit_code": verdict.exit_code,
    }


def action_json(result: ActionResult, redactor: Redactor) -> dict[str, object]:
    """What one action gave: `value` when `ok`, else `error`."""
    entry: dict[str, object] = {"action": result.action.name, "place": result.action.place, "ok": result.ok}
    if result.error is not None:
        text = redactor.text(str(result.error))[:LONGEST_ERROR]
        return {**entry, "error": {"kind": type(result.error).__name__, "message": text}}
    return {**entry, "value": _bounded(_plain(result.value, redactor))}


def result_json(results: Results, verdict: Verdict, runs: Iterable[Run], redactor: Redactor) -> dict[str, object]:
    """The end of a script. It fits into a frame: where it would not, the largest values are left out and say so."""
    actions = [action_json(result, redactor) for result in results.results]
    loads = [{"load": run.facts.id, "folder": str(run.folder)} for run in runs]
    result = {"verdict": verdict_json(verdict, redactor), "ok": results.ok, "loads": loads[-1_000:], "actions": actions}
    by_size = sorted((entry for entry in actions if "value" in entry), key=lambda entry: _bytes(entry["value"]))
    while _bytes(result) > LARGEST_RESULT_BYTES and by_size:
        largest = by_size.pop()
        largest["value"] = _left_out(_bytes(largest["value"]))
    while _bytes(result) > LARGEST_RESULT_BYTES and actions:  # thousands of actions
        del actions[len(actions) // 2 :]
        result["actions_left_out"] = len(results.results) - len(actions)
    return result


def legacy_values(results: Results, redactor: Redactor) -> list[object]:
    """One value for each action; an error as Python writes it."""
    return [redactor.text(repr(one.error)) if one.error is not None else _plain(one.value, redactor) for one in results.results]


def _plain(value: object, redactor: Redactor) -> object:
    """As JSON, secrets masked."""
    if isinstance(value, Results):
        return [action_json(result, redactor) for result in value.results]
    if isinstance(value, list) and any(isinstance(one, Results) for one in value):
        return [_plain(one, redactor) for one in value]
    try:
        return redactor.value(json.loads(json.dumps(value, default=str)))
    except (ValueError, TypeError, RecursionError):  # keys that JSON has no word for, a loop
        return redactor.text(repr(value))


def _bounded(value: object) -> object:
    size = _bytes(value)
    return value if size <= LARGEST_VALUE_BYTES else _left_out(size)


def _left_out(size: int) -> dict[str, object]:
    return {"left_out": True, "bytes": size, "hint": "too large for a reply: let the script write it to a file, or read the run folder"}


def _bytes(value: object) -> int:
    return len(json.dumps(value, default=str))
