"""Our histograms in the forms that others keep: cumulative counts below fixed bounds, and exponential buckets.

Both are made of the counts of our buckets, by the middle of each: no hit is replayed. A middle is at most 1/1024 off any value in its
bucket, so only a hit within 0.1 % of a border can be counted on its other side. Count, sum, minimum and maximum stay exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loadflow.engine.records.histogram import SUB_BITS, Histogram

__all__ = ["LATENCY_BOUNDS_MS", "Exponential", "below", "exponential"]

# those of LoadDensity, so that its dashboards work
LATENCY_BOUNDS_MS = (5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0)
NS_PER_MS = 1e6
# OpenTelemetry's and Prometheus' own limit for the number of buckets of one histogram
MAX_BUCKETS = 160
MAX_SCALE = 8  # 256 buckets for each power of two; ours have 512, so a finer scale would show nothing more

Floats = npt.NDArray[np.float64]


def middles_ns(buckets: npt.NDArray[np.int64]) -> Floats:
    """`histogram.bucket_middle_ns` of each. Not cut to minimum and maximum: these move, and a running total must never go back."""
    shift = np.maximum(0, (buckets >> SUB_BITS) - 1)
    low = (buckets - (shift << SUB_BITS)) << shift
    middles: Floats = low + ((1 << shift) - 1) / 2
    return middles


def below(histogram: Histogram, bounds_ms: Sequence[float]) -> list[int]:
    """How many hits took at most each of `bounds_ms` (ascending); the count of all is not among them.

    >>> import numpy as np
    >>> h = Histogram()
    >>> h.add(np.array([3_000_000, 40_000_000]))
    >>> below(h, (5.0, 10.0, 50.0))
    [1, 1, 2]
    """
    buckets, counts = histogram.buckets()
    running = np.concatenate(([0], np.cumsum(counts)))
    middles = middles_ns(buckets)
    found: list[int] = running[np.searchsorted(middles, np.array(bounds_ms) * NS_PER_MS, side="right")].tolist()
    return found


@dataclass(frozen=True, slots=True)
class Exponential:
    """Counts of buckets whose bounds are powers of 2^(2^-scale) milliseconds.

    The bucket `offset + i` holds values above base^(offset + i) up to base^(offset + i + 1), as OpenTelemetry counts them.
    """

    scale: int
    zero_count: int
    offset: int
    counts: tuple[int, ...]


def exponential(histogram: Histogram, max_buckets: int = MAX_BUCKETS) -> Exponential:
    """The finest form of at most `max_buckets` buckets; values of 0 ns are the zero count.

    A histogram that only grows never gets a finer one again, which is what receivers of running totals rely on.
    """
    buckets, counts = histogram.buckets()
    middles = middles_ns(buckets) / NS_PER_MS
    positive = middles > 0
    zero_count = int(counts[~positive].sum())
    middles, counts = middles[positive], counts[positive]
    if len(middles) == 0:
        return Exponential(MAX_SCALE, zero_count, 0, ())
    logs = np.log2(middles)
    for scale in range(MAX_SCALE, -11, -1):
        indexes = np.ceil(logs * 2.0**scale).astype(np.int64) - 1
        if indexes[-1] - indexes[0] < max_buckets:
            break
    offset = int(indexes[0])
    spread = np.bincount(indexes - offset, weights=counts).astype(np.int64)
    return Exponential(scale, zero_count, offset, tuple(spread.tolist()))
