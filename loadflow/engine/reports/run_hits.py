"""The hits of a run as the record reports show them: in the order they ended, with what their ids stand for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loadflow.engine.records.hitlog import Rows, read_header, row_count
from loadflow.engine.records.in_order import in_order
from loadflow.engine.records.names import LOST, ErrorText, NameTable, SeriesName, printable, text_lost
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.run import Run
from loadflow.engine.reports.pieces import Integers
from loadflow.engine.resolve.request_urls import RequestUrls
from loadflow.errors import RunError

__all__ = ["Hits", "RunHits", "chronological"]

CHUNK_ROWS = 8_192  # larger ones are slower: their columns fall out of the processor's cache


@dataclass(frozen=True, slots=True)
class Hits:
    """Some hits of a run. `series` and `error` are positions in the run's lists; an `error` of 0 is none."""

    rows: Rows
    series: Integers
    error: Integers
    origin_us: Integers  # the run's start, microseconds since 1970

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, mask: npt.NDArray[np.bool_]) -> Hits:
        return Hits(self.rows[mask], self.series[mask], self.error[mask], self.origin_us[mask])

    @property
    def failed(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.rows["outcome"] != Outcome.OK)


class RunHits:
    """Iterating gives all hits in bounded memory. `series`, `urls` and `errors` are what positions in `Hits` stand for.

    The tables of several engine processes stand one behind the other, each with an entry for ids that it does not know.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.series: list[SeriesName] = []
        self.errors: list[ErrorText] = [ErrorText(Outcome.OK, "")]
        self._shards = [shard for shard in range(run.shards) if run.hits_path(shard).exists() and row_count(run.hits_path(shard)) > 0]
        self._tables = [self._add(run.shard_names(shard)) for shard in self._shards]
        self._origins_us = np.array([read_header(run.hits_path(shard)).origin_unix_ns // 1000 for shard in self._shards], dtype=np.int64)
        urls = RequestUrls(run.facts.plan)
        self.urls = [printable(urls.url(name)) for name in self.series]

    def __iter__(self) -> Iterator[Hits]:
        logs = [self.run.iter_shard(shard, CHUNK_ROWS) for shard in self._shards]
        for shards, rows in in_order(logs, CHUNK_ROWS):
            # more than a chunk comes when logs are far apart, and at the end
            for start in range(0, len(rows), CHUNK_ROWS):
                yield self._known(shards[start : start + CHUNK_ROWS], rows[start : start + CHUNK_ROWS])

    def _add(self, table: NameTable) -> tuple[int, int, int, int]:
        """Append a shard's names: where its series and errors start, and how many ids each has before the one for lost ones."""
        first_series, first_error = len(self.series), len(self.errors)
        series, errors = max(table.series, default=-1) + 1, max(table.errors, default=0)
        self.series += [_clean(table.series.get(number, LOST)) for number in range(series)] + [LOST]
        lost = text_lost(Outcome.ENGINE)
        self.errors += [table.errors.get(number + 1, lost) for number in range(errors)] + [lost]
        return first_series, series, first_error, errors

    def _known(self, shards: Integers, rows: Rows) -> Hits:
        first_series, series, first_error, errors = np.array(self._tables, dtype=np.int64)[shards].T
        error = rows["error"].astype(np.int64)
        failed = rows["outcome"] != Outcome.OK
        # id 0 of a failed hit, or one that is not in the table, is the shard's last entry
        known = np.where((error >= 1) & (error <= errors), error - 1, errors)
        return Hits(
            rows,
            first_series + np.minimum(rows["series"].astype(np.int64), series),
            np.where(failed, first_error + known, 0),
            self._origins_us[shards],
        )


def chronological(runs: Sequence[Run]) -> list[Run]:
    """By when they started. Raises RunError when there is none."""
    if not runs:
        raise RunError("there is no run to report on; run a test first, or give at least one run folder")
    return sorted(runs, key=lambda run: run.facts.started_unix_s)


def _clean(name: SeriesName) -> SeriesName:
    return SeriesName(printable(name.method), printable(name.name))
