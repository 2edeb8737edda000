"""What the CSV, JSON and XML reports say about each hit: every field once, under the key that all three use.

The keys that LoadDensity's readers know come as they know them; the others are added. What is not kept per hit (bodies and
headers would make memory and reports grow with the traffic, and carry its secrets) is empty text: `text`, `content` and
`headers`. `test_url` is the URL of the plan's step with the hit's method and name, or the name where there is no such one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from loadflow.engine.records.outcome import Outcome, flag_words
from loadflow.engine.records.statuses import grpc_status, status_text
from loadflow.engine.reports.pieces import Constant, Integers, Label, Labels, Number, Piece
from loadflow.engine.reports.run_hits import Hits, RunHits

__all__ = ["CSV_KEYS", "FAILURE_KEYS", "NUMBERS", "SUCCESS_KEYS", "HitFields"]

# milliseconds with three decimals; start_time in seconds since 1970; due_ms since the run's start
ADDED = ("service_time_ms", "due_ms", "sent_bytes", "user", "flags")
CSV_KEYS = (
    *("outcome", "Method", "test_url", "name", "status_code", "response_time_ms", "response_length", "error"),
    *("started_at", "due_ms", "service_time_ms", "sent_bytes", "user", "flags", "outcome_kind", "run"),
)
TIMES = ("response_time_ms", "response_length", "start_time", *ADDED, "run")
SUCCESS_KEYS = ("Method", "test_url", "name", "status_code", "text", "content", "headers", *TIMES)
FAILURE_KEYS = ("Method", "test_url", "name", "status_code", "error", "outcome_kind", *TIMES)
NUMBERS = frozenset({"response_time_ms", "response_length", "start_time", "service_time_ms", "due_ms", "sent_bytes", "user"})


class HitFields:
    """The fields of one run's hits; `escape` makes a text fit the format that it is written in."""

    def __init__(self, run: RunHits, escape: Callable[[str], str]) -> None:
        self._outcomes = Labels.of(["success", "failure"], escape)
        self._methods = Labels.of([name.method for name in run.series], escape)
        self._urls = Labels.of(run.urls, escape)
        self._names = Labels.of([name.name for name in run.series], escape)
        self._errors = Labels.of([error.text for error in run.errors], escape)
        self._kinds = Labels.of([outcome.label for outcome in Outcome], escape)
        self._flags = Labels.of([flag_words(flags) for flags in range(256)], escape)
        self._run = Constant(escape(run.run.facts.id))

    def pieces(self, key: str, hits: Hits) -> Sequence[Piece]:
        """The values of `key`; empty for values that are not kept per hit."""
        rows = hits.rows
        match key:
            case "outcome":
                return [Label(self._outcomes, hits.failed.astype(np.int64))]
            case "Method":
                return [Label(self._methods, hits.series)]
            case "test_url":
                return [Label(self._urls, hits.series)]
            case "name":
                return [Label(self._names, hits.series)]
            case "status_code":  # 0 is "no answer"; a success without one is of a protocol that has no status
                return [_statuses(_integers(rows["status"]), (rows["status"] == 0) & ~hits.failed)]
            case "error":
                return [Label(self._errors, hits.error)]
            case "outcome_kind":
                return [Label(self._kinds, _integers(rows["outcome"]))]
            case "response_time_ms":
                return [Number(_us(rows["end_ns"] - rows["due_ns"]), 3)]
            case "service_time_ms":
                return [Number(_us(rows["end_ns"] - rows["start_ns"]), 3)]
            case "due_ms":
                return [Number(_us(rows["due_ns"]), 3)]
            case "start_time":
                return [Number(hits.origin_us + _us(rows["start_ns"]), 6)]
            case "started_at":
                return _utc(hits.origin_us + _us(rows["start_ns"]))
            case "response_length":
                return [Number(_integers(rows["received_bytes"]))]
            case "sent_bytes" | "user":
                return [Number(_integers(rows[key]))]
            case "flags":
                return [Label(self._flags, _integers(rows["flags"]))]
            case "run":
                return [self._run]
        return []


def _us(values_ns: Integers) -> Integers:
    return (values_ns + 500) // 1000


def _statuses(statuses: Integers, none: npt.NDArray[np.bool_]) -> Piece:
    if statuses.max(initial=0) < grpc_status(0):
        return Number(statuses, blank=none)
    different, codes = np.unique(np.where(none, -1, statuses), return_inverse=True)
    return Label(Labels(["" if status < 0 else status_text(status) for status in different.tolist()]), codes)


def _integers(values: np.ndarray[tuple[int, ...], np.dtype[np.unsignedinteger]]) -> Integers:
    return values.astype(np.int64)


def _utc(unix_us: Integers) -> Sequence[Piece]:
    """ISO 8601 with microseconds: 2026-11-21T04:28:00.123456Z."""
    seconds, micros = np.divmod(unix_us, 1_000_000)
    different, codes = np.unique(seconds, return_inverse=True)
    labels = Labels([datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.") for second in different.tolist()])
    return [Label(labels, codes), Number(micros, least_digits=6), Constant("Z")]
