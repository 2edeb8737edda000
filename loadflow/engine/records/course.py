"""How each name and each status went over the time of a run: counted from its hits in one pass, into a bounded number of cells.

Percentiles are kept to 1/128 (a curve's own width), eight buckets of the histograms as one; counts are exact. Of a log with more than
MOST_HITS hits every k-th is counted, and stands for k.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from loadflow.engine.records.histogram import buckets_of, middles_ns
from loadflow.engine.records.hitlog import Rows, row_count
from loadflow.engine.records.names import SeriesName
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.run import Run

__all__ = ["Course", "CourseCounter", "NameCourse", "course_of"]

Ints = npt.NDArray[np.int64]

QUANTILES = (0.5, 0.95, 0.99)
MOST_NAMES = 200  # those with most hits
MOST_CELLS = 12_000  # names times bins
MOST_HITS = 20_000_000  # some 100 ns each
SECOND_NS = 1_000_000_000
COARSE_BITS = 3  # buckets of the histograms that become one
BUCKET_BITS = 16  # a bucket of any time below 292 years
STATUSES = 1 << 16
MERGE_AT = 4_000_000  # cells with their buckets that wait to be added up


@dataclass(frozen=True, slots=True)
class NameCourse:
    """A value per bin. `times_ms` has the p50, p95 and p99 of each, None where the bin has no hit."""

    name: SeriesName
    hits: Sequence[int]
    failed: Sequence[int]
    times_ms: tuple[Sequence[float | None], ...]


@dataclass(frozen=True, slots=True)
class Course:
    """`statuses`: (status, whether these hits failed) to a count per bin of `width_s`; names have bins of `names_width_s`.

    `every`: one of this many hits was counted, and the counts are already multiplied by it. `names_left_out` have fewer hits than those
    here.
    """

    width_s: int
    statuses: Mapping[tuple[int, bool], Sequence[int]]
    names_width_s: int
    names: Sequence[NameCourse]
    names_left_out: int
    every: int


@dataclass
class CourseCounter:
    """Counts rows of a run that lasts `end_s`, for these names. Bins of a name are as many bins of `width_s` wide as it takes."""

    names: Sequence[SeriesName]
    width_s: int
    end_s: int
    every: int = 1
    names_left_out: int = 0
    _statuses: dict[tuple[int, bool], Ints] = field(default_factory=dict)
    _keys: list[Ints] = field(default_factory=list)
    _counts: list[Ints] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._bins = max(1, -(-self.end_s // self.width_s))
        self._names_width_s = self.width_s
        while len(self.names) * -(-self.end_s // self._names_width_s) > MOST_CELLS:
            self._names_width_s *= 2
        self._name_bins = max(1, -(-self.end_s // self._names_width_s))
        self._index = {name: number for number, name in enumerate(self.names)}
        self._failed = np.zeros(len(self.names) * self._name_bins, dtype=np.int64)

    def add(self, rows: Rows, names: Mapping[int, SeriesName], offset_s: int = 0) -> None:
        """`names`: what the rows' ids stand for; `offset_s`: when their run began."""
        if len(rows) == 0:
            return
        seconds = np.maximum(rows["end_ns"], 0) // SECOND_NS + offset_s
        failed = rows["outcome"] != Outcome.OK
        self._add_statuses(rows["status"], failed, np.minimum(seconds // self.width_s, self._bins - 1))
        numbers = np.full(int(rows["series"].max()) + 1, -1, dtype=np.int64)
        for number, name in names.items():
            if number < len(numbers):
                numbers[number] = self._index.get(name, -1)
        of_row = numbers[rows["series"]]
        known = of_row >= 0
        cells = (of_row * self._name_bins + np.minimum(seconds // self._names_width_s, self._name_bins - 1))[known]
        if len(cells) == 0:
            return
        self._failed += np.bincount(cells[failed[known]], minlength=len(self._failed)) * self.every
        took_ns = (rows["end_ns"] - rows["due_ns"])[known]
        self._keep(*np.unique((cells << BUCKET_BITS) | (buckets_of(took_ns) >> COARSE_BITS), return_counts=True))

    def course(self) -> Course:
        self._merge()
        keys, counts = (self._keys[0], self._counts[0]) if self._keys else (np.zeros(0, dtype=np.int64),) * 2
        sums = np.cumsum(counts)
        ends = np.searchsorted(keys, (np.arange(len(self._failed) + 1)) << BUCKET_BITS)
        before = np.concatenate(([0], sums))[ends]
        hits = np.diff(before)
        times_ms = [self._times_ms(q, keys, sums, before, hits) for q in QUANTILES]
        spans = [slice(start, stop) for start, stop in pairwise(range(0, len(hits) + 1, self._name_bins))]
        courses = [
            NameCourse(
                name,
                (hits[span] * self.every).tolist(),
                self._failed[span].tolist(),
                tuple([value if count else None for value, count in zip(ms[span].tolist(), hits[span], strict=True)] for ms in times_ms),
            )
            for name, span in zip(self.names, spans, strict=True)
        ]
        statuses = {key: counts.tolist() for key, counts in sorted(self._statuses.items())}
        return Course(self.width_s, statuses, self._names_width_s, courses, self.names_left_out, self.every)

    def _add_statuses(self, statuses: Ints, failed: npt.NDArray[np.bool_], bins: Ints) -> None:
        codes = statuses.astype(np.int64) * 2 + failed
        present = np.flatnonzero(np.bincount(codes, minlength=2 * STATUSES))
        numbers = np.zeros(2 * STATUSES, dtype=np.int64)
        numbers[present] = np.arange(len(present))
        counts = np.bincount(numbers[codes] * self._bins + bins, minlength=len(present) * self._bins)
        for code, own in zip(present.tolist(), counts.reshape(len(present), self._bins), strict=True):
            self._statuses.setdefault((code // 2, bool(code % 2)), np.zeros(self._bins, dtype=np.int64))[:] += own * self.every

    def _keep(self, keys: Ints, counts: Ints) -> None:
        self._keys.append(keys)
        self._counts.append(counts)
        if sum(map(len, self._keys[1:])) > MERGE_AT:
            self._merge()

    def _merge(self) -> None:
        if len(self._keys) < 2:
            return
        keys, where = np.unique(np.concatenate(self._keys), return_inverse=True)
        counts = np.bincount(where, np.concatenate(self._counts)).astype(np.int64)
        self._keys, self._counts = [keys], [counts]

    def _times_ms(self, q: float, keys: Ints, sums: Ints, before: Ints, hits: Ints) -> npt.NDArray[np.float64]:
        """The ⌈q·n⌉-th smallest of each cell, as everywhere; anything where a cell is empty."""
        if len(keys) == 0:
            return np.zeros(len(hits))
        ranks = before[:-1] + np.maximum(1, np.ceil(q * hits)).astype(np.int64)
        buckets = keys[np.minimum(np.searchsorted(sums, ranks), len(keys) - 1)] & ((1 << BUCKET_BITS) - 1)
        half = 1 << (COARSE_BITS - 1)
        below, above = (middles_ns((buckets << COARSE_BITS) + one) for one in (half - 1, half))
        ms: npt.NDArray[np.float64] = (below + above) / 2e6
        return ms


def course_of(runs: Sequence[tuple[Run, int]], width_s: int, end_s: int) -> Course | None:
    """Of runs, each with the second at which it begins; None where there is no hit, or where hits are missing from the logs."""
    totals = [run.totals() for run, _ in runs]
    there = sum(row_count(path) for run, _ in runs for shard in range(run.shards) if (path := run.hits_path(shard)).exists())
    if there == 0 or there < sum(one.all_hits for one in totals):
        return None
    counts: dict[SeriesName, int] = {}
    for one in totals:
        for name, series in one.series.items():
            counts[name] = counts.get(name, 0) + series.hits
    busiest = set(sorted(counts, key=lambda name: -counts[name])[:MOST_NAMES])
    names = [name for name in counts if name in busiest]
    counter = CourseCounter(names, width_s, end_s, -(-there // MOST_HITS), len(counts) - len(names))
    for run, offset_s in runs:
        known = run.names().series
        for _, rows in run.iter_hits():
            counter.add(rows[:: counter.every], known, offset_s)
    return counter.course()
