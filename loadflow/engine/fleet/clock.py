"""Compares an agent's monotonic clock with the coordinator's: how far is it ahead, and how wrong may that be by now?"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

__all__ = ["WINDOW", "ClockComparison"]

WINDOW = 8  # answers; the quickest of them is the one that counts


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one question found. The true value is at most half its way, there and back, off."""

    ahead_ns: int
    way_ns: int


class ClockComparison:
    """Answers to "what time is it?", of which the quickest counts.

    The first `WINDOW` of them decide what the run's times are made with; it stays, so that no time jumps. Those that come while the
    load runs say how far the clocks have drifted apart since.

    >>> clock = ClockComparison()
    >>> clock.heard(sent_ns=0, coordinator_ns=1_050, now_ns=100)
    >>> clock.ahead_ns, clock.error_s
    (1000, 5e-08)
    """

    def __init__(self) -> None:
        self._used = _Answer(0, 0)
        self._asked = 0
        self._recent: deque[_Answer] = deque(maxlen=WINDOW)

    def heard(self, sent_ns: int, coordinator_ns: int, now_ns: int) -> None:
        """The coordinator's clock said `coordinator_ns` between our `sent_ns` and `now_ns`."""
        answer = _Answer(coordinator_ns - (sent_ns + now_ns) // 2, now_ns - sent_ns)
        if self._asked < WINDOW and (not self._asked or answer.way_ns < self._used.way_ns):
            self._used = answer
        self._asked += 1
        self._recent.append(answer)

    @property
    def ahead_ns(self) -> int:
        """The coordinator's clock minus ours, as it was at the start."""
        return self._used.ahead_ns

    @property
    def error_s(self) -> float:
        """How far times made with `ahead_ns` may be off now: half the way of the answer, and what the clocks drifted since."""
        if not self._recent:
            return 0.0
        now = min(self._recent, key=lambda answer: answer.way_ns)
        drift_ns = abs(now.ahead_ns - self._used.ahead_ns)
        return max(self._used.way_ns / 2, drift_ns + now.way_ns / 2 if now is not self._used else 0.0) / 1e9
