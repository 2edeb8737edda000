"""Folds rows of the hit log into counts: live, second by second, and again from disk when a run was cut off.

One pass with numpy: rows are sorted by (second, series, outcome good or bad) and cut at the borders, so the cost per hit is
some tens of nanoseconds and does not depend on what the hits are.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from loadflow.engine.records.hitlog import Rows
from loadflow.engine.records.names import LOST, NameTable, SeriesName, text_lost
from loadflow.engine.records.outcome import HitFlag, Outcome
from loadflow.engine.records.timings import timings_of
from loadflow.engine.records.totals import ErrorCount, SeriesTotals, Totals

__all__ = ["fold_rows"]

SECOND_NS = 1_000_000_000


def fold_rows(rows: Rows, names: NameTable, *, paced: bool = False) -> dict[int, Totals]:
    """Counts per whole second since the run's start, by the end of each hit.

    `names` must know every id in `rows`; it is refreshed once when one is missing. An id that is missing even then (the side
    table was cut off) is counted under a name that says so. `paced`: the hits were due at a rate, so each has a service time of
    its own; else only those have that started later than they were due.
    """
    if len(rows) == 0:
        return {}
    if int(rows["series"].max()) not in names.series or int(rows["error"].max()) not in names.errors:
        names.refresh()
    end_ns = rows["end_ns"].astype(np.int64)
    seconds = np.maximum(end_ns, 0) // SECOND_NS
    failed = (rows["outcome"] != Outcome.OK).astype(np.int64)
    first_second = int(seconds.min())
    series_span = int(rows["series"].max()) + 1
    group = ((seconds - first_second) * series_span + rows["series"]) * 2 + failed
    result: dict[int, Totals] = {}
    for code, part in _parts(rows, group):
        second = first_second + code // 2 // series_span
        name = names.series.get(code // 2 % series_span, LOST)
        totals = result.setdefault(second, Totals())
        _count(totals.series.setdefault(name, SeriesTotals()), part, failed=bool(code % 2), paced=paced)
        totals.span(int(part["start_ns"].min()), int(part["end_ns"].max()))
        if code % 2:
            _count_errors(totals, name, part, names)
    return result


def _parts(rows: Rows, group: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Iterator[tuple[int, Rows]]:
    """The rows of each group, in ascending order of the groups, which are not negative."""
    last = int(group.max())
    if int(group.min()) == last:  # most often, while a load runs: nothing has to be moved
        yield last, rows
        return
    order = np.argsort(group.astype(np.uint16) if last < 2**16 else group, kind="stable")  # of 16 bits numpy sorts by digits
    plain = rows.view(f"V{rows.dtype.itemsize}")  # numpy moves rows without fields in a fifth of the time
    sorted_rows, sorted_group = plain[order].view(rows.dtype), group[order]
    borders = (np.flatnonzero(np.diff(sorted_group)) + 1).tolist()
    for start, stop in zip([0, *borders], [*borders, len(rows)], strict=True):
        yield int(sorted_group[start]), sorted_rows[start:stop]


def _count(totals: SeriesTotals, part: Rows, *, failed: bool, paced: bool) -> None:
    for name, _, times_ns in timings_of(part):
        totals.timing(name).add(times_ns)
    if (events := (part["flags"] & HitFlag.EVENT) != 0).any():
        totals.events += int(np.count_nonzero(events))
        totals.tokens += int(part["sent_bytes"][events].sum(dtype=np.int64))
        part = part[~events]
        if len(part) == 0:
            return
    start, end, due = (part[field].astype(np.int64) for field in ("start_ns", "end_ns", "due_ns"))
    (totals.failed if failed else totals.succeeded).add(end - due)
    waited = np.ones(len(part), dtype=bool) if paced else due < start
    if waited.any():
        totals.service.add((end - start)[waited])
    flags = part["flags"]
    there = int(np.bitwise_or.reduce(flags))

    def with_flag(flag: HitFlag) -> int:
        return int(np.count_nonzero(flags & flag)) if there & flag else 0

    superseded = with_flag(HitFlag.SUPERSEDED)
    totals.retries += with_flag(HitFlag.RETRY)
    totals.superseded += superseded
    totals.superseded_failed += superseded if failed else 0
    totals.drained += with_flag(HitFlag.DRAINED)
    totals.late += with_flag(HitFlag.LATE)
    totals.out_of_rows += with_flag(HitFlag.LAST)
    totals.sent_bytes += int(part["sent_bytes"].sum(dtype=np.int64))
    totals.received_bytes += int(part["received_bytes"].sum(dtype=np.int64))


def _count_errors(totals: Totals, name: SeriesName, part: Rows, names: NameTable) -> None:
    # by outcome too: texts that are lost must not mix the kinds of failure
    of_row = part["error"].astype(np.int64) * 256 + part["outcome"]
    codes, counts = np.unique(of_row, return_counts=True)
    for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
        ends = part["end_ns"][of_row == code]
        superseded = int(np.count_nonzero(part["flags"][of_row == code] & HitFlag.SUPERSEDED))
        number, outcome = divmod(code, 256)
        text = names.errors.get(number) or text_lost(outcome)
        error = ErrorCount(count, int(ends.min()) / SECOND_NS, int(ends.max()) / SECOND_NS, superseded)
        key = (name, text)
        if key in totals.errors:
            totals.errors[key].merge(error)
        else:
            totals.errors[key] = error
