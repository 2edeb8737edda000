"""Whether one run was better or worse than another: every metric with an interval for its change, never two point values alone.

The interval is a bootstrap's: each run's hits are drawn again, with replacement, and the metrics taken anew; the middle share
(`confidence`) of the differences is the interval (Efron & Tibshirani, An Introduction to the Bootstrap, chapter 13). Nothing
is drawn hit by hit. The r-th smallest of n draws lies at the share Beta(r, n + 1 - r) of the values that there are, exactly,
so one number gives a drawn percentile, however many hits and buckets. A drawn mean has the first three moments of the
means that drawing would give, which are known.

worse: the whole interval lies on the bad side of zero, and the change is beyond the margin; better: on the good side.
same: the whole interval lies within the margin. unclear: everything else, and always where there are too few hits.
margin: the larger one of the absolute limit and the relative limit's share of the better one of the two values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from loadflow.engine.records.histogram import bucket_middle_ns
from loadflow.engine.records.names import SeriesName
from loadflow.engine.records.totals import SeriesTotals, Totals

__all__ = ["METRICS", "Change", "ChangeKind", "Comparison", "Counted", "Limits", "NameChanges", "compare"]

Floats = npt.NDArray[np.float64]
NS_PER_MS = 1e6
PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
METRICS = (*PERCENTILES, "mean", "failure_rate", "rate")
BEYOND = 10  # hits that must lie beyond a percentile: with fewer a bootstrap says too much
LEAST_HITS = 20  # for percentiles and the mean
LEAST_SKEW = 1e-4  # below, a gamma distribution is a normal one, and its shape too large to draw from
SEED = 20_261_121  # fixed, so that the same two runs always give the same answer


class ChangeKind(StrEnum):
    BETTER = "better"
    SAME = "same"
    UNCLEAR = "unclear"
    WORSE = "worse"


@dataclass(frozen=True, slots=True)
class Limits:
    """`relative` and `absolute_failure_rate` are shares of 1; a change must be beyond both limits to count.

    A rate has the relative limit alone.
    """

    relative: float = 0.1
    absolute_ms: float = 1.0
    absolute_failure_rate: float = 0.001
    confidence: float = 0.95
    resamples: int = 1_000

    def margin(self, metric: str, best: float) -> float:
        absolute = {"failure_rate": self.absolute_failure_rate, "rate": 0.0}.get(metric, self.absolute_ms)
        return max(absolute, self.relative * best)


@dataclass(frozen=True, slots=True)
class Counted:
    """What of a run is compared. `duration_s` is the time of its load, which a store keeps apart from the counts."""

    totals: Totals
    duration_s: float


@dataclass(frozen=True, slots=True)
class Change:
    """Milliseconds, a share of 1 (failure_rate), hits per second (rate). `relative` is None where the baseline is 0."""

    metric: str
    baseline: float
    current: float
    absolute: float
    relative: float | None
    low: float
    high: float
    verdict: ChangeKind
    why: str = ""  # why it is unclear

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": str(self.verdict)}


@dataclass(frozen=True, slots=True)
class NameChanges:
    """One name, or all hits together (both texts empty)."""

    method: str
    name: str
    baseline_hits: int
    current_hits: int
    changes: tuple[Change, ...]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "changes": [change.to_json() for change in self.changes]}


@dataclass(frozen=True, slots=True)
class Comparison:
    """All hits, each name that both runs have, and the names that only one has."""

    limits: Limits
    overall: NameChanges
    names: tuple[NameChanges, ...]
    only_baseline: tuple[SeriesName, ...]
    only_current: tuple[SeriesName, ...]

    @property
    def verdict(self) -> ChangeKind:
        """Worse where anything is, be it one name. A name with few hits is often unclear: that decides nothing, all hits do."""
        everything = [change.verdict for one in (self.overall, *self.names) for change in one.changes]
        if ChangeKind.WORSE in everything:
            return ChangeKind.WORSE
        if not self.overall.changes or any(change.verdict is ChangeKind.UNCLEAR for change in self.overall.changes):
            return ChangeKind.UNCLEAR
        return ChangeKind.BETTER if ChangeKind.BETTER in everything else ChangeKind.SAME

    def marked(self, kind: ChangeKind) -> list[tuple[NameChanges, Change]]:
        return [(one, change) for one in (self.overall, *self.names) for change in one.changes if change.verdict is kind]

    def to_json(self) -> dict[str, Any]:
        return {
            "verdict": str(self.verdict),
            "limits": asdict(self.limits),
            "overall": self.overall.to_json(),
            "names": [one.to_json() for one in self.names],
            "only_in_baseline": [asdict(name) for name in self.only_baseline],
            "only_in_current": [asdict(name) for name in self.only_current],
        }


def compare(baseline: Counted, current: Counted, limits: Limits | None = None, *, names: bool = True) -> Comparison:
    """Every metric of `current` against `baseline`, over all hits and, unless `names` is False, per name.

    The cost depends on the number of names, not on the number of hits.
    """
    limits = limits or Limits()
    ours, theirs = baseline.totals.series, current.totals.series
    both = [name for name in ours if name in theirs] if names else []
    return Comparison(
        limits,
        _changes(SeriesName("", ""), baseline.totals.overall(), current.totals.overall(), baseline, current, limits),
        tuple(_changes(name, ours[name], theirs[name], baseline, current, limits) for name in both),
        tuple(name for name in ours if name not in theirs),
        tuple(name for name in theirs if name not in ours),
    )


def _changes(
    name: SeriesName, before: SeriesTotals, after: SeriesTotals, baseline: Counted, current: Counted, limits: Limits
) -> NameChanges:
    ours, theirs = _Sample(before, baseline.duration_s), _Sample(after, current.duration_s)
    changes: tuple[Change, ...] = ()
    if ours.hits and theirs.hits:
        # a run's draws must not depend on which side it stands: swapping the runs turns every interval around, exactly
        generators = [np.random.default_rng((SEED, number)) for number in (0, 1)]
        if theirs.key < ours.key:
            generators.reverse()
        changes = tuple(_change(metric, ours, theirs, generators, limits) for metric in METRICS)
    return NameChanges(name.method, name.name, before.hits, after.hits, changes)


def _change(metric: str, ours: _Sample, theirs: _Sample, generators: Sequence[np.random.Generator], limits: Limits) -> Change:
    before, after = ours.value(metric), theirs.value(metric)
    drawn = theirs.drawn(metric, generators[1], limits.resamples) - ours.drawn(metric, generators[0], limits.resamples)
    tail = (1 - limits.confidence) / 2
    low, high = (float(bound) for bound in np.quantile(drawn, (tail, 1 - tail)))
    few = min(ours.hits, theirs.hits)
    needed = _needed(metric)
    if few < needed:
        verdict, why = ChangeKind.UNCLEAR, f"{few} hits, and {metric} needs {needed}"
    else:
        verdict, why = _judged(metric, before, after, low, high, limits)
    relative = (after - before) / before if before else None
    return Change(metric, before, after, after - before, relative, low, high, verdict, why)


def _needed(metric: str) -> int:
    if metric in PERCENTILES:
        return max(LEAST_HITS, round(BEYOND / (1 - PERCENTILES[metric])))
    return LEAST_HITS if metric == "mean" else 1


def _judged(metric: str, before: float, after: float, low: float, high: float, limits: Limits) -> tuple[ChangeKind, str]:
    best = max(before, after) if metric == "rate" else min(before, after)
    margin = limits.margin(metric, best)
    change = after - before
    if abs(change) > margin and (low > 0 or high < 0) and (low > 0) == (change > 0):
        return (ChangeKind.BETTER if (change > 0) == (metric == "rate") else ChangeKind.WORSE), ""
    if -margin <= low and high <= margin:
        return ChangeKind.SAME, ""
    if abs(change) > margin:
        return ChangeKind.UNCLEAR, "the interval reaches over zero"
    return ChangeKind.UNCLEAR, "the interval reaches beyond the limits"


class _Sample:
    """The hits of one name in one run, and how each metric comes out when they are drawn again."""

    def __init__(self, totals: SeriesTotals, duration_s: float) -> None:
        self._times = totals.response()
        self._duration_s = duration_s
        self.hits = self._times.count
        # attempts that another one followed neither fail nor succeed, as for thresholds
        self._decisive = totals.hits - totals.superseded
        self._failed = totals.failures - totals.superseded_failed
        buckets, self._counts = self._times.buckets()
        self._ends = np.cumsum(self._counts)
        middles = np.array([bucket_middle_ns(int(bucket)) for bucket in buckets], dtype=np.float64)
        self._values = np.clip(middles, self._times.min_ns, self._times.max_ns)
        self.key = (self.hits, self._times.sum_ns, self._times.max_ns, self._failed, duration_s, self._counts.tobytes(), buckets.tobytes())

    def value(self, metric: str) -> float:
        match metric:
            case "mean":
                return self._times.mean_ns / NS_PER_MS
            case "failure_rate":
                return self._failed / self._decisive if self._decisive else 0.0
            case "rate":
                return self.hits / self._duration_s if self._duration_s > 0 else 0.0
            case _:
                return self._times.quantile_ns(PERCENTILES[metric]) / NS_PER_MS

    def drawn(self, metric: str, generator: np.random.Generator, times: int) -> Floats:
        """The metric of `times` samples as large as this one."""
        match metric:
            case "mean":
                return self._drawn_means(generator, times)
            case "failure_rate":
                # Jeffreys' prior: no failure among few hits is no proof that none can be
                return generator.beta(self._failed + 0.5, self._decisive - self._failed + 0.5, times)
            case "rate":
                # as if hits came independently; users that wait for one another's answers vary less
                return generator.poisson(self.hits, times) / self._duration_s if self._duration_s > 0 else np.zeros(times)
            case _:
                return self._drawn_percentiles(PERCENTILES[metric], generator, times)

    def _drawn_percentiles(self, q: float, generator: np.random.Generator, times: int) -> Floats:
        rank = min(self.hits, max(1, math.ceil(q * self.hits)))
        shares = generator.beta(rank, self.hits + 1 - rank, times)
        positions = np.searchsorted(self._ends, np.ceil(shares * self.hits))
        drawn: Floats = self._values[np.minimum(positions, len(self._values) - 1)] / NS_PER_MS
        return drawn

    def _drawn_means(self, generator: np.random.Generator, times: int) -> Floats:
        """By the first three moments that means of drawn samples have: a gamma distribution, shifted (Pearson's type III)."""
        spread = self._values - float(self._values @ self._counts) / self.hits
        variance = float(spread**2 @ self._counts) / self.hits
        third = float(spread**3 @ self._counts) / self.hits
        skew = third / variance**1.5 / math.sqrt(self.hits) if variance > 0 else 0.0
        if abs(skew) < LEAST_SKEW:
            drawn = generator.standard_normal(times)
        else:
            shape = 4 / skew**2
            drawn = math.copysign(1, skew) * (generator.gamma(shape, size=times) - shape) / math.sqrt(shape)
        means: Floats = (self._times.mean_ns + math.sqrt(variance / self.hits) * drawn) / NS_PER_MS
        return means
