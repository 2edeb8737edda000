"""A failure budget: the rate of failures in a sliding window of time, in constant time and memory per hit."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["FailureBudget", "InstalledBudget"]

SLOTS = 120


class FailureBudget:
    """Breached once at least `min_samples` are in the last `window_seconds` and more than `threshold` of them (0 to 1) failed.

    The window is a ring of 120 slots of time, so it moves in steps of a 120th: what it counts always began within the last
    `window_seconds`, and reaches back at least 119 of 120 parts of them (29.75 s of 30 s). Safe between threads. Times are
    seconds on the monotonic clock; one that is older than the window is left out. Raises ValueError for numbers that make no
    sense.

    >>> budget = FailureBudget(threshold=0.5, min_samples=4)
    >>> for failed in (True, True, False, True):
    ...     budget.record(failed, now=10.0)
    >>> budget.failure_rate(now=20.0), budget.is_breached(now=20.0), budget.is_breached(now=40.0)
    (0.75, True, False)
    """

    def __init__(self, threshold: float = 0.05, window_seconds: float = 30.0, min_samples: int = 50) -> None:
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold is a share from 0 to 1, not {threshold}")
        if not 0 < window_seconds < math.inf:
            raise ValueError(f"window_seconds must be more than 0, and finite, not {window_seconds}")
        if min_samples < 1:
            raise ValueError(f"min_samples must be at least 1, not {min_samples}")
        self.threshold = threshold
        self.window_seconds = window_seconds
        self.min_samples = min_samples
        self._per_s = SLOTS / window_seconds
        self._lock = threading.Lock()
        self._tripped = False
        self._clear()

    def record(self, failed: bool, now: float | None = None) -> None:
        """Count one outcome."""
        self.add(1, 1 if failed else 0, now)

    def add(self, samples: int, failures: int, now: float | None = None) -> None:
        """Count `samples` outcomes of the same moment, of which `failures` failed."""
        slot = math.floor((time.monotonic() if now is None else now) * self._per_s)
        with self._lock:
            if slot != self._last:
                self._move_to(slot)
                if slot <= self._last - SLOTS:
                    return
            place = slot % SLOTS
            self._slot_samples[place] += samples
            self._samples += samples
            if failures:
                self._slot_failures[place] += failures
                self._failures += failures

    def failure_rate(self, now: float | None = None) -> float:
        """Failures per sample in the window; 0.0 when it is empty."""
        samples, failures = self.counts(now)
        return failures / samples if samples else 0.0

    def sample_count(self) -> int:
        """Samples in the window, as it stood at the last record or question."""
        return self._samples

    def counts(self, now: float | None = None) -> tuple[int, int]:
        """Samples and failures in the window."""
        with self._lock:
            self._move_to(math.floor((time.monotonic() if now is None else now) * self._per_s))
            return self._samples, self._failures

    def is_breached(self, now: float | None = None) -> bool:
        samples, failures = self.counts(now)
        return samples >= self.min_samples and failures / samples > self.threshold

    def trip(self) -> None:
        """Say that the budget is used up, whatever the counts: a load that it is installed for ends."""
        self._tripped = True

    @property
    def tripped(self) -> bool:
        """Whether `trip` was called, by a load that breached the budget or by hand; a load that starts sets it back."""
        return self._tripped

    def reset(self) -> None:
        """Forget all samples, and that it tripped."""
        with self._lock:
            self._tripped = False
            self._clear()

    def _clear(self) -> None:
        self._slot_samples = [0] * SLOTS
        self._slot_failures = [0] * SLOTS
        self._samples = 0
        self._failures = 0
        self._last: float = -math.inf  # number of the newest slot, counted from the clock's zero

    def _move_to(self, slot: int) -> None:
        """Empty the slots that leave the window; a slot of the past changes nothing."""
        if slot <= self._last:
            return
        passed = min(slot - self._last, SLOTS)
        for number in range(slot - int(passed) + 1, slot + 1):
            place = number % SLOTS
            self._samples -= self._slot_samples[place]
            self._failures -= self._slot_failures[place]
            self._slot_samples[place] = self._slot_failures[place] = 0
        self._last = slot


@dataclass(frozen=True, slots=True)
class InstalledBudget:
    """A budget as a session has it installed. `on_trip` is called once per load that the budget ends."""

    budget: FailureBudget
    on_trip: Callable[[], object] | None = None
