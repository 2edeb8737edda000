"""A summary of records that another program made: lists of successes and failures, as LoadDensity's records are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from loadflow.engine.base.json_value import JsonMapping
from loadflow.engine.records.judge import EndReason, RunEnd, judge, warnings_of
from loadflow.engine.records.names import ErrorText, SeriesName
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.summary import Summary, summarise
from loadflow.engine.records.totals import ErrorCount, SeriesTotals, Totals
from loadflow.engine.script.mistakes import shorten
from loadflow.errors import CommandError, Mistake

__all__ = ["summary_of_records"]

Record = JsonMapping
KINDS = {outcome.label: outcome for outcome in Outcome if outcome is not Outcome.OK}
REPLACED = "superseded"  # the word of HitFlag.SUPERSEDED in record reports
MOST_MISTAKES = 20
LONGEST_MS = 1e12  # what nanoseconds in 64 bits hold, with room for sums


def summary_of_records(success: Sequence[Record], failures: Sequence[Record]) -> Summary:
    """Records are grouped by `Method` and `name` (else `test_url`, else "unknown"); `response_time_ms` is needed.

    `response_length`, `status_code`, `error`, `outcome_kind`, `start_time` (seconds since 1970) and `flags` (as the record reports have
    them: an attempt that a retry replaced is not a failure) are used where they are.
    Without a start time in each record no duration is known: it and the rates are 0. No failure is allowed in the verdict.
    Raises CommandError if a record is not an object or has no usable time.

    >>> summary_of_records([{"name": "a", "response_time_ms": 5}], []).overall.latency.max_ms
    5.0
    """
    mistakes = [*_mistakes("success", success), *_mistakes("failures", failures)]
    if mistakes:
        raise CommandError(mistakes[:MOST_MISTAKES])
    totals = Totals()
    times: dict[tuple[SeriesName, bool], list[float]] = {}
    starts_s = [_number(record.get("start_time")) for record in (*success, *failures)]
    known_starts_s = [start_s for start_s in starts_s if start_s is not None]
    first_s = min(known_starts_s, default=0.0)
    last_s = first_s
    for number, record in enumerate((*success, *failures)):
        failed = number >= len(success)
        name = SeriesName(str(record.get("Method") or ""), str(record.get("name") or record.get("test_url") or "unknown"))
        time_ms = float(record["response_time_ms"])
        totals.series.setdefault(name, SeriesTotals()).received_bytes += int(_number(record.get("response_length")) or 0)
        times.setdefault((name, failed), []).append(time_ms)
        replaced = REPLACED in str(record.get("flags") or "").split()
        if replaced:
            totals.series[name].superseded += 1
            totals.series[name].superseded_failed += failed
        end_s = (starts_s[number] or first_s) + time_ms / 1e3
        last_s = max(last_s, end_s)
        if failed:
            error = ErrorText(_outcome(record), str(record.get("error") or "request failed"))
            count = ErrorCount(1, end_s - first_s, end_s - first_s, int(replaced))
            totals.errors.setdefault((name, error), ErrorCount(0, count.first_s, count.last_s)).merge(count)
    for (name, failed), found_ms in times.items():
        series = totals.series[name]
        (series.failed if failed else series.succeeded).add((np.array(found_ms) * 1e6).astype(np.int64))
    # all that is known of the time of the load
    totals.duration_s = last_s - first_s if known_starts_s and len(known_starts_s) == len(starts_s) else 0.0
    return summarise(
        totals,
        duration_s=totals.duration_s,
        runs=[],
        verdict=judge(totals, RunEnd(EndReason.COMPLETED), [], max_failure_rate=0.0),
        warnings=warnings_of(totals, []),
        health=[],
        samples={},
    )


def _mistakes(side: str, records: Sequence[Record]) -> list[Mistake]:
    found = []
    for index, record in enumerate(records):
        if not isinstance(record, Mapping):
            found.append(
                Mistake(f"{side}[{index}]", f"a record is an object, not {type(record).__name__}", "give what a record report holds")
            )
            continue
        time_ms = _number(record.get("response_time_ms"))
        if time_ms is None or not 0 <= time_ms <= LONGEST_MS:
            place = f"{side}[{index}].response_time_ms"
            found.append(Mistake(place, f"{shorten(record.get('response_time_ms'))} is not a time", "give milliseconds, 0 or more"))
    return found


def _number(value: Any) -> float | None:
    """None if it is not a finite number, or a text of one."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _outcome(record: Record) -> Outcome:
    """As the record says, else by its status: LoadDensity's "0" or "None" is not an answer."""
    if record.get("outcome_kind") in KINDS:
        return KINDS[record["outcome_kind"]]
    status = _number(record.get("status_code")) or 0
    return Outcome.STATUS if status >= 400 else Outcome.ASSERTION if status else Outcome.CONNECT
