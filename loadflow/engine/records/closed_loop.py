"""What users in a closed loop hide: while one of them waits for a slow answer, it sends nothing that could be slow too.

A visitor who does not wait would have come every `every_ms`, each time with what was left of the slow answer before it: a response time
t stands for t - every, t - 2·every, … as well (coordinated omission: Tene, HdrHistogram's recordValueWithExpectedInterval). These are
shown beside what was measured, never in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loadflow.engine.records.health import Health
from loadflow.engine.records.histogram import Histogram, middles_ns

__all__ = ["Hidden", "hidden_of", "with_hidden_ms"]

QUANTILES = (0.5, 0.95, 0.99)
HALVINGS = 60
BUCKET = 0.001  # by which share a bucket's middle may lie above a time in it
NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True)
class Hidden:
    """Milliseconds. `every_ms`: the mean time from one request of a user to its next one."""

    every_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


def hidden_of(times: Histogram, duration_s: float, health: Sequence[Health]) -> Hidden | None:
    """Of all requests of a load in a closed loop; None if the number of users is not known."""
    users = float(np.mean([one.users for one in health])) if health else 0.0
    if times.count == 0 or users <= 0 or duration_s <= 0:
        return None
    every_ms = users * duration_s * 1e3 / times.count
    return Hidden(every_ms, *(with_hidden_ms(times, every_ms, q) for q in QUANTILES))


def with_hidden_ms(times: Histogram, every_ms: float, q: float) -> float:
    """The quantile `q` of the times and of those that they stand for.

    >>> times = Histogram()
    >>> times.add(np.array([10_000_000] * 99 + [1_000_000_000]))  # 99 × 10 ms, once 1 s
    >>> round(with_hidden_ms(times, 20.0, 0.9))  # one came each 20 ms: 49 more between 20 ms and 980 ms
    719
    """
    buckets, counts = times.buckets()
    values_ms = np.clip(middles_ns(buckets), times.min_ns, times.max_ns) / NS_PER_MS
    lowest_ms = values_ms * (1 - BUCKET)  # so that a bucket's middle never counts one more than the time itself
    every = max(every_ms, 1e-6)

    def longer_than(ms: float) -> float:
        """How many of them took longer, those that are stood for included."""
        return float(counts @ np.maximum(0, np.ceil((lowest_ms - ms) / every)))

    stood_for = float(counts @ np.maximum(1, np.ceil(lowest_ms / every)))
    allowed = (1 - q) * stood_for
    low, high = 0.0, float(values_ms.max())
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if longer_than(middle) > allowed else (low, middle)
    return high
