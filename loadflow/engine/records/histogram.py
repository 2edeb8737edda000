"""Latency histograms: log-linear, mergeable, with a relative error of at most 1/1024 (under 0.1 %).

Values are whole nanoseconds. Below 1,024 ns a bucket is one nanosecond wide; above, every power of two is cut into 512
equal buckets, so a bucket's width is at most 1/512 of its lower bound and its midpoint at most 1/1024 off any value in it.
The scheme is that of HdrHistogram (Gil Tene) with the sub-bucket count fixed. Minimum, maximum and sum are exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from loadflow.engine.base.json_value import JsonObject

__all__ = ["Histogram", "bucket_middle_ns", "buckets_of", "middles_ns"]

SUB_BITS = 9
SUB_BUCKETS = 1 << SUB_BITS  # buckets for each power of two
FIRST_UPPER = (1023 + SUB_BITS - 1) << SUB_BITS  # 1023: what IEEE 754 adds to an exponent

Int64s = npt.NDArray[np.int64]


def buckets_of(values_ns: Int64s) -> Int64s:
    """The bucket of each value; values below 0 (a clock can't give them) count as 0. Shape as given."""
    values = np.maximum(values_ns, 0)
    # exponent and upper bits of the mantissa stand beside each other in a float64, and are just that: of whole numbers below 2**53
    upper = values.astype(np.float64).view(np.int64) >> (52 - SUB_BITS)
    return np.where(values < SUB_BUCKETS, values, upper - FIRST_UPPER)


def bucket_middle_ns(bucket: int) -> float:
    """The middle of a bucket, in nanoseconds: what a quantile that falls into it is reported as."""
    shift = max(0, (bucket >> SUB_BITS) - 1)
    low = (bucket - (shift << SUB_BITS)) << shift
    return low + ((1 << shift) - 1) / 2


def middles_ns(buckets: Int64s) -> npt.NDArray[np.float64]:
    """`bucket_middle_ns` of each, in one go."""
    shift = np.maximum(0, (buckets >> SUB_BITS) - 1)
    middles: npt.NDArray[np.float64] = ((buckets - (shift << SUB_BITS)) << shift) + ((1 << shift) - 1) / 2
    return middles


class Histogram:
    """Counts per bucket over the span of buckets in use, with exact count, sum, minimum and maximum.

    >>> import numpy as np
    >>> h = Histogram()
    >>> h.add(np.array([1_000_000, 2_000_000, 3_000_000]))
    >>> round(h.quantile_ns(0.5) / 1e6, 2)
    2.0
    """

    __slots__ = ("_counts", "_first", "count", "max_ns", "min_ns", "sum_ns")

    def __init__(self) -> None:
        self._first = 0
        self._counts: Int64s = np.zeros(0, dtype=np.int64)
        self.count = 0
        self.sum_ns = 0
        self.min_ns = 0
        self.max_ns = 0

    def add(self, values_ns: Int64s) -> None:
        """Add each value of a one-dimensional array; values below 0 count as 0."""
        if len(values_ns) == 0:
            return
        values_ns = np.maximum(values_ns, 0)
        self.add_buckets(*_counted(buckets_of(values_ns)), int(values_ns.sum()), int(values_ns.min()), int(values_ns.max()))

    def add_buckets(self, buckets: Int64s, counts: Int64s, sum_ns: int, min_ns: int, max_ns: int) -> None:
        """Add counts that were made elsewhere: `buckets` ascending and without repeats, `counts` of the same length."""
        if len(buckets) == 0:
            return
        self._cover(int(buckets[0]), int(buckets[-1]) + 1)
        self._counts[buckets - self._first] += counts
        self.min_ns = min_ns if self.count == 0 else min(self.min_ns, min_ns)
        self.max_ns = max(self.max_ns, max_ns)
        self.count += int(counts.sum())
        self.sum_ns += sum_ns

    def merge(self, other: Histogram) -> None:
        buckets, counts = other.buckets()
        self.add_buckets(buckets, counts, other.sum_ns, other.min_ns, other.max_ns)

    def buckets(self) -> tuple[Int64s, Int64s]:
        """The buckets in use, ascending, and the count of each."""
        used = self._counts.nonzero()[0]
        return used + self._first, self._counts[used]

    def quantile_ns(self, q: float) -> float:
        """The smallest value that at least the share `q` (0 to 1) of all values does not exceed; 0.0 when empty.

        One definition for every report: the ⌈q·n⌉-th smallest, as the middle of its bucket, never outside [min, max].
        """
        return self.quantiles_ns((q,))[0]

    def quantiles_ns(self, qs: Sequence[float]) -> list[float]:
        """`quantile_ns` of each: the counts are added up once for all of them."""
        if self.count == 0:
            return [0.0] * len(qs)
        summed = np.cumsum(self._counts)
        found = []
        for q in qs:
            rank = min(self.count, max(1, math.ceil(q * self.count)))
            middle = bucket_middle_ns(self._first + int(summed.searchsorted(rank)))
            found.append(float(self.max_ns if rank == self.count else min(max(middle, self.min_ns), self.max_ns)))
        return found

    def above(self, value_ns: float) -> int:
        """How many values are in buckets above that of `value_ns`."""
        last = int(buckets_of(np.array([int(value_ns)]))[0]) - self._first
        return int(self._counts[max(0, last + 1) :].sum())

    @property
    def mean_ns(self) -> float:
        return self.sum_ns / self.count if self.count else 0.0

    def to_json(self) -> JsonObject:
        """`first` bucket, then (gap to the next used bucket, count) pairs; `from_json` reads it back."""
        buckets, counts = self.buckets()
        pairs = np.column_stack((np.diff(buckets, prepend=buckets[:1]), counts)).ravel().tolist() if len(buckets) else []
        first = int(buckets[0]) if len(buckets) else 0
        return {"first": first, "pairs": pairs, "sum": self.sum_ns, "min": self.min_ns, "max": self.max_ns}

    @classmethod
    def from_json(cls, data: JsonObject) -> Histogram:
        histogram = cls()
        pairs = np.array(data["pairs"], dtype=np.int64).reshape(-1, 2)
        buckets = data["first"] + np.cumsum(pairs[:, 0])
        histogram.add_buckets(buckets, pairs[:, 1], data["sum"], data["min"], data["max"])
        return histogram

    @classmethod
    def merged(cls, histograms: Iterable[Histogram]) -> Histogram:
        total = cls()
        for histogram in histograms:
            total.merge(histogram)
        return total

    def _cover(self, first: int, end: int) -> None:
        if len(self._counts) == 0:
            self._first, self._counts = first, np.zeros(end - first, dtype=np.int64)
            return
        old_end = self._first + len(self._counts)
        if first >= self._first and end <= old_end:
            return
        new_first, new_end = min(first, self._first), max(end, old_end)
        grown = np.zeros(new_end - new_first, dtype=np.int64)
        grown[self._first - new_first : old_end - new_first] = self._counts
        self._first, self._counts = new_first, grown


def _counted(buckets: Int64s) -> tuple[Int64s, Int64s]:
    """Those in use, ascending, and how often each. Counting takes a time of their span, sorting one of their number."""
    first = int(buckets.min())
    if int(buckets.max()) - first > 4 * len(buckets):
        return np.unique(buckets, return_counts=True)
    counts = np.bincount(buckets - first)
    used = np.flatnonzero(counts)
    return used + first, counts[used]
