"""One run as a sample: the hits of each name, and how far each metric would be off if the run's seconds had come in another order.

Seconds are drawn again in blocks (records/blocks.py), not hits: behind a queue one slow answer delays the next, and hits taken as
independent make every interval too narrow. A percentile q goes the way round its share: when a drawn sample has the share d more above
it, the sample's own percentile is the one at q + d of the run (Woodruff, Journal of the American Statistical Association 47, 1952).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from loadflow.engine.base.counted import counted
from loadflow.engine.records.blocks import FEWEST_BLOCKS, deviations
from loadflow.engine.records.histogram import middles_ns
from loadflow.engine.records.names import SeriesName
from loadflow.engine.records.seconds import ALL, QUANTILES, SecondCounts
from loadflow.engine.records.totals import SeriesTotals, Totals

__all__ = ["METRICS", "PERCENTILES", "Counted", "Floats", "Sample", "Series", "influence", "influences", "too_few", "too_short"]

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]
NS_PER_MS = 1e6
PERCENTILES = dict(zip(("p50", "p95", "p99"), QUANTILES, strict=True))
METRICS = (*PERCENTILES, "mean", "failure_rate", "rate")
LEAST_BLOCK_S = 5
BEYOND = 10  # hits that must lie beyond a percentile: with fewer a bootstrap says too much
LEAST_HITS = 20  # for percentiles and the mean


@dataclass(frozen=True, slots=True)
class Counted:
    """What of a run is compared. `duration_s` is the time of its load, which a store keeps apart from the counts.

    `per_second` returns the hits that ended in each second; None if they are not known.
    """

    totals: Totals
    duration_s: float
    per_second: Callable[[], SecondCounts | None] = lambda: None


def too_few(metric: str, hits: int) -> str:
    """Why `hits` are too few for `metric`; "" if they are enough."""
    needed = 1
    if metric in PERCENTILES:
        needed = max(LEAST_HITS, round(BEYOND / (1 - PERCENTILES[metric])))
    elif metric == "mean":
        needed = LEAST_HITS
    return f"{counted(hits, 'hit')}, but {metric} needs {needed}" if hits < needed else ""


def too_short(seconds: int) -> str:
    """Why `seconds` whole seconds are too few to measure how much a load varies; "" if they are enough."""
    least = FEWEST_BLOCKS * LEAST_BLOCK_S
    if seconds >= least:
        return ""
    return f"too short to say: {seconds} s, and it takes {least} s, {FEWEST_BLOCKS} blocks of {LEAST_BLOCK_S} s"


class Series:
    """The hits of one name in one run, and what each metric comes to."""

    def __init__(self, totals: SeriesTotals, duration_s: float) -> None:
        self._times = totals.response()
        self._duration_s = duration_s
        self.hits = self._times.count
        self.all_hits = totals.hits
        self.decisive, self._failed = totals.final_hits, totals.final_failures

    def value(self, metric: str) -> float:
        match metric:
            case "mean":
                return self._times.mean_ns / NS_PER_MS
            case "failure_rate":
                return self._failed / self.decisive if self.decisive else 0.0
            case "rate":
                return self.hits / self._duration_s if self._duration_s > 0 else 0.0
            case _:
                return self._times.quantile_ns(PERCENTILES[metric]) / NS_PER_MS

    def drawn(self, metric: str, off: Floats, generator: np.random.Generator) -> Floats:
        """The metric when it is off by so much: a share above a percentile, nanoseconds, a share of failures, a share of the rate."""
        match metric:
            case "mean":
                return self.value(metric) + off / NS_PER_MS
            case "failure_rate":
                return self._drawn_failures(off, generator)
            case "rate":
                return self.value(metric) * (1 + off)
            case _:
                return self.percentiles(PERCENTILES[metric] + off)

    def clustered(self, metric: str, error: float) -> float | None:
        """How many hits stand for one independent hit, 1 or more, where `error` is the standard error: of the share above a percentile, or
        of the mean in nanoseconds; None of other metrics."""
        if metric == "mean":
            buckets, counts = self._times.buckets()
            variance = float(counts @ (middles_ns(buckets) - self._times.mean_ns) ** 2) / max(1, self.hits)
        elif metric in PERCENTILES:
            variance = PERCENTILES[metric] * (1 - PERCENTILES[metric])
        else:
            return None
        return max(1.0, error**2 * self.hits / variance) if variance > 0 else 1.0

    def percentiles(self, shares: Floats) -> Floats:
        """Milliseconds at these shares of the hits; a share beyond 0 or 1 is the shortest or longest time."""
        values_ms, ranks = self._sorted
        wanted = np.clip(np.ceil(shares * self.hits), 1, self.hits)
        drawn: Floats = values_ms[np.searchsorted(ranks, wanted)]
        return drawn

    @cached_property
    def _sorted(self) -> tuple[Floats, Int64s]:
        """Milliseconds, and up to which hit of all in their order it takes so long."""
        buckets, counts = self._times.buckets()
        values_ms: Floats = np.clip(middles_ns(buckets), self._times.min_ns, self._times.max_ns) / NS_PER_MS
        return values_ms, np.cumsum(counts)

    def _drawn_failures(self, off: Floats, generator: np.random.Generator) -> Floats:
        """Jeffreys' prior: no failure among few hits is no proof that none can be."""
        share, spread = self.value("failure_rate"), float(np.var(off))
        independent = min(self.decisive, share * (1 - share) / spread) if spread > 0 else self.decisive
        return generator.beta(share * independent + 0.5, (1 - share) * independent + 0.5, len(off))


class Sample:
    """One run: its hits, all together and by name, and how each metric comes out when its seconds are drawn again."""

    def __init__(
        self, counted: Counted, names: Sequence[SeriesName], generator: np.random.Generator, *, confidence: float, draws: int
    ) -> None:
        self._generator = generator
        totals: Mapping[SeriesName, SeriesTotals] = {**counted.totals.series, ALL: counted.totals.overall()}
        self.series = {name: Series(totals[name], counted.duration_s) for name in (ALL, *names)}
        self._off: dict[SeriesName, Floats] = {}
        self._variances: dict[SeriesName, Floats] = {}  # of `_off`, by metric
        seconds = counted.per_second()
        self._seconds = seconds.seconds if seconds else 0
        self._why = too_short(self._seconds) if seconds else "only totals are kept of it, not what happened in each second"
        if seconds and not self._why:
            rows = {name: number for number, name in enumerate(seconds.names) if name in self.series}
            influence = influences(seconds, list(rows.values()))
            off = deviations(
                influence.reshape(-1, influence.shape[-1]),
                least=-(-LEAST_BLOCK_S // seconds.unit_s),
                confidence=confidence,
                draws=draws,
                generator=generator,
            )
            by_metric = off.reshape(len(rows), len(METRICS), draws)
            self._off = dict(zip(rows, by_metric, strict=True))
            self._variances = dict(zip(rows, by_metric.var(axis=2), strict=True))

    def why_not(self, name: SeriesName) -> str:
        """Why nothing can be drawn; "" where it can."""
        return self._why or ("" if name in self._off else "only the names with the most hits are counted for each second")

    def clustered(self, name: SeriesName, metric: str) -> float | None:
        """How many hits stand for one independent hit; None where a metric wavers as much when it is larger."""
        return self.series[name].clustered(metric, math.sqrt(self._variances[name][METRICS.index(metric)]))

    def drawn(self, name: SeriesName, metric: str, other: Sample) -> Floats:
        """The metric, `draws` times. It wavers at least as much as in both runs together.

        Each run alone knows too little of it: one that had luck has better numbers and seems to waver less, both at once.
        """
        which = METRICS.index(metric)
        off, own, theirs = self._off[name][which], float(self._variances[name][which]), float(other._variances[name][which])
        together = (own * self._seconds**2 + theirs * other._seconds**2) / (self._seconds + other._seconds) / self._seconds
        wider = math.sqrt(together / own) if together > own > 0 else 1.0
        return self.series[name].drawn(metric, off * wider, self._generator)


def influences(seconds: SecondCounts, rows: Sequence[int]) -> Floats:
    """By how much each second puts each metric off; shape (names, metrics, units), and the mean of each line is 0."""
    hits, decisive = seconds.hits[rows], seconds.decisive[rows]
    ratios = [(seconds.above[rows, q], hits) for q in range(len(QUANTILES))]
    ratios += [(seconds.sum_ns[rows], hits), (seconds.failed[rows], decisive), (hits, np.ones_like(hits))]
    found = np.stack([influence(counts, weights) for counts, weights in ratios], axis=1)
    found[:, METRICS.index("rate")] /= np.maximum(hits.mean(axis=1, keepdims=True), np.finfo(float).tiny)
    return found


def influence(counts: Floats, weights: Floats) -> Floats:
    """By how much each second puts the ratio Σ counts / Σ weights of each row off; shape (rows, units)."""
    weight = np.maximum(weights.mean(axis=1, keepdims=True), np.finfo(float).tiny)
    found: Floats = (counts - counts.mean(axis=1, keepdims=True) / weight * weights) / weight
    return found
