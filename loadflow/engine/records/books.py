"""Two checks of the generator itself: whether its books balance, and how much of the latency is its own.

Little's law (Operations Research 9, 1961): the mean number in flight is the rate times the mean time, L = λR. The right side comes from
the times in the hit log; the left one was counted by the generator as it sent and received, once a second. Where both differ, hits are
missing or times are wrong. The number in flight is only looked at once a second, so what such looks waver is taken off: a look at the
times of the log at the same moments wavers alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loadflow.engine.machine.calibration import Ceiling
from loadflow.engine.records.health import Health
from loadflow.engine.records.histogram import Histogram
from loadflow.engine.records.seconds import SecondCounts

__all__ = ["Books", "Ours", "books_of", "ours_of"]

TOLERANCE = 0.02  # share by which both may differ
SINGLE = 2.0  # requests of each loop by which they may: those that begin or end at the very moment of the look
STANDS_OUT = 4.0  # standard errors by which they must
LEAST_LOOKS = 30
LEAST_IN_FLIGHT = 1.0  # with less, one request more or less is a large share
NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True)
class Books:
    """Requests in flight on average: `by_times`, λR; `counted`, by its `loops` loops. `error`: the standard error of their difference."""

    by_times: float
    counted: float
    error: float
    loops: int = 1

    @property
    def off(self) -> float:
        """A share of 1."""
        return abs(self.counted - self.by_times) / self.by_times

    @property
    def balance(self) -> bool:
        apart = abs(self.counted - self.by_times)
        return apart <= max(TOLERANCE * self.by_times, SINGLE * self.loops, STANDS_OUT * self.error)


@dataclass(frozen=True, slots=True)
class Ours:
    """Milliseconds: the run's p99; `floor_ms`, the p99 of this machine against a target that does nothing; `late_ms`, by which sending
    late moved the p99."""

    p99_ms: float
    floor_ms: float
    late_ms: float

    @property
    def ours_ms(self) -> float:
        return min(self.p99_ms, self.floor_ms + self.late_ms)

    @property
    def share(self) -> float:
        return self.ours_ms / self.p99_ms if self.p99_ms > 0 else 0.0


def books_of(seconds: SecondCounts, health: Sequence[Health], loops: int = 1) -> Books | None:
    """None for too few looks, or too few requests in flight, to say. The last second, which the end of the load cuts, is left out."""
    looks = min(len(health), seconds.hits.shape[1]) - 1
    if seconds.unit_s != 1 or looks < LEAST_LOOKS:
        return None
    at_looks = seconds.in_flight[:looks]
    counted = np.array([one.in_flight for one in health[:looks]], dtype=float)
    by_times = float(seconds.busy_ns[:looks].sum()) / 1e9 / looks
    if by_times < LEAST_IN_FLIGHT:
        return None
    difference = counted - at_looks
    return Books(by_times, by_times + float(difference.mean()), float(difference.std(ddof=1)) / math.sqrt(looks), loops)


def ours_of(ceiling: Ceiling | None, times: Histogram, service: Histogram) -> Ours | None:
    """None where nothing is known of the machine. `service` is empty in a closed loop, where nothing is sent late."""
    if ceiling is None or ceiling.unused or ceiling.floor is None or times.count == 0:
        return None
    p99_ms = times.quantile_ns(0.99) / NS_PER_MS
    late_ms = max(0.0, p99_ms - service.quantile_ns(0.99) / NS_PER_MS) if service.count else 0.0
    return Ours(p99_ms, ceiling.floor.p99_ms, late_ms)
