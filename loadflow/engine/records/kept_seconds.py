"""The counts of a run's seconds, from its folder: made from the hits once, then read."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from loadflow.engine.base.private import opener
from loadflow.engine.records.hitlog import Rows, row_count
from loadflow.engine.records.seconds import ALL, SecondCounter, SecondCounts, from_bytes, to_bytes
from loadflow.engine.records.snapshot import SecondRow
from loadflow.engine.records.threshold import Threshold, is_named, parse_expression
from loadflow.engine.records.timings import EVENT_GAP, FIRST_EVENT, timings_of
from loadflow.engine.records.totals import SeriesTotals, Totals

if TYPE_CHECKING:
    from loadflow.engine.records.run import Run

__all__ = ["seconds_of_all", "seconds_of_run", "seconds_of_threshold"]

FILE = "seconds.npz"


def seconds_of_run(run: Run) -> SecondCounts | None:
    """None where the hits are gone, or some of them. Kept beside them where the folder can be written to and the run has ended."""
    file, end = run.folder / FILE, run.folder / "totals.json"
    try:
        if file.stat().st_mtime_ns >= end.stat().st_mtime_ns:
            return from_bytes(file.read_bytes())
    except (OSError, ValueError):
        pass  # there is none yet, or none that can be read: it is made anew
    totals = run.totals()
    there = sum(row_count(path) for shard in range(run.shards) if (path := run.hits_path(shard)).exists())
    if there < totals.all_hits:
        return None
    counter = SecondCounter(totals, run.end().ran_s)
    names = run.names().series
    for _, rows in run.iter_hits():
        counter.add(rows, names)
    counts = counter.counts()
    if end.exists():
        _keep(file, to_bytes(counts))
    return counts


def seconds_of_threshold(run: Run, threshold: Threshold, from_s: float, duration_s: float, series: SeriesTotals) -> SecondCounts | None:
    """What a threshold is about, in each second of its window: `above` has its own percentile alone. None where hits are gone.

    `series`: the counts of these hits, all together.
    """
    expression = parse_expression(threshold.expression)
    names = run.names().series
    wanted = [number for number, name in names.items() if (not name.is_setup if threshold.name is None else is_named(name, threshold.name))]
    counter = SecondCounter(Totals({ALL: series}), duration_s, by_name=False, quantiles=(expression.q or 0.5,))
    counted = 0
    for _, rows in run.iter_hits(events=expression.timing in (FIRST_EVENT, EVENT_GAP)):
        own = rows[np.isin(rows["series"], wanted) & (rows["end_ns"] >= from_s * 1e9)]
        if expression.timing:
            own = _as_response(own, expression.timing)
        counted += len(own)
        own["due_ns"] = (own["start_ns"] if expression.service else own["due_ns"]) - int(from_s * 1e9)
        own["end_ns"] -= int(from_s * 1e9)
        counter.add(own, {})
    return counter.counts() if counted >= series.hits else None


def _as_response(rows: Rows, timing: str) -> Rows:
    """Those that have the timing, with it as their response time."""
    for name, has, times_ns in timings_of(rows):
        if name == timing:
            own = rows[has]
            own["due_ns"] = own["end_ns"] - times_ns
            return own
    return rows[:0]


def seconds_of_all(totals: Totals, ran_s: float, rows: Iterable[SecondRow]) -> SecondCounts:
    """Of all hits together, without a look at any: from the histograms that were recorded each second."""
    counter = SecondCounter(totals, ran_s, by_name=False)
    for row in rows:
        parts = (row.succeeded, row.failed)
        hits, sum_ns = (sum(getattr(part, count) for part in parts) for count in ("count", "sum_ns"))
        above = [sum(part.above(limit) for part in parts) for limit in counter.limits_ns[0]]
        counter.add_counts(ALL, row.second // counter.unit_s, [hits, sum_ns, hits, row.failed.count, *above, *above])
    return counter.counts()


def _keep(file: Path, data: bytes) -> None:
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb", opener=opener) as opened:
            opened.write(data)
        temporary.replace(file)
    except OSError:  # a folder for reading only, or a full disk: it costs a pass over the hits the next time
        temporary.unlink(missing_ok=True)
