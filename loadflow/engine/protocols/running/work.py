"""How much work one answer may make: its decoders, patterns and paths share one budget. The core has the same: `native/src/http/work.rs`.

Time of the thread's processor counts, not that of the clock: on a busy machine an answer makes no more work than on an idle one, and
the result of a run must not depend on who else runs there.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.records.outcome import Outcome

__all__ = ["MOST_WORK_MS", "Work"]

MOST_WORK_MS = 1_000


class Work:
    """The work on one answer; it begins when it is made.

    >>> now_ns = 0
    >>> work = Work(lambda: now_ns)
    >>> work.check()
    >>> now_ns = 1_000_000_001
    >>> work.check()
    Traceback (most recent call last):
    loadflow.engine.protocols.running.seam.HitFailure: assertions and extracts took over 1,000 ms of work with this answer
    """

    __slots__ = ("_clock_ns", "_until_ns")

    def __init__(self, clock_ns: Callable[[], int] = time.thread_time_ns) -> None:
        self._clock_ns = clock_ns
        self._until_ns = clock_ns() + MOST_WORK_MS * 1_000_000

    def check(self) -> None:
        """To be called after each piece of it. Raises HitFailure."""
        if self._clock_ns() > self._until_ns:
            raise HitFailure(Outcome.TOO_LARGE, f"assertions and extracts took over {MOST_WORK_MS:,} ms of work with this answer")
