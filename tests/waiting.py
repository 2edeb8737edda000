"""Waiting for something in a test: limits in seconds of a quiet machine, which last longer on a busy one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sized
from pathlib import Path
from typing import TypeGuard, TypeVar

__all__ = ["HANG_S", "Patience", "share", "wait_for"]

T = TypeVar("T")
HANG_S = 500.0  # a process that a test waits for so long hangs; no test takes a tenth of it on a quiet machine
LOADAVG = Path("/proc/loadavg")


def share(loadavg: str, cores: int) -> float:
    """How much of a core a process gets that wants one: 1 on a quiet machine, less where more wait than there are cores.

    `loadavg` is the text of /proc/loadavg, whose fourth field is `<runnable>/<all>` (proc(5)).
    """
    runnable = int(loadavg.split()[3].partition("/")[0])
    return min(1.0, cores / max(1, runnable))


def _share_now() -> float:
    try:
        return share(LOADAVG.read_text(encoding="ascii"), os.cpu_count() or 1)
    except OSError:  # no Linux
        return min(1.0, (os.cpu_count() or 1) / max(1.0, os.getloadavg()[0]))


class Patience:
    """Is over after `limit_s` seconds without progress, each of which counts only for the share of a core that there was.

    `progress` gives a value that changes while what is waited for comes nearer: each change starts the limit anew.
    """

    def __init__(
        self,
        limit_s: float,
        progress: Callable[[], object] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        share_now: Callable[[], float] = _share_now,
    ) -> None:
        self._limit_s, self._progress = limit_s, progress
        self._clock, self._share_now = clock, share_now
        self._left_s = limit_s
        self._last_s = clock()
        self._seen = progress() if progress is not None else None

    def is_over(self) -> bool:
        """Counts the time since the last question, so it has to be asked often."""
        now_s = self._clock()
        self._left_s -= (now_s - self._last_s) * self._share_now()
        self._last_s = now_s
        if self._progress is not None and (seen := self._progress()) != self._seen:
            self._seen, self._left_s = seen, self._limit_s
        return self._left_s < 0


def wait_for(
    what: str, look: Callable[[], T | None], within_s: float = 60.0, *, progress: Callable[[], object] | None = None, every_s: float = 0.05
) -> T:
    """The first thing that `look` gives which is there: not None, False or empty. AssertionError names `what` when it does not come."""
    patience = Patience(within_s, progress)
    while True:
        found = look()
        if is_there(found):
            return found
        if patience.is_over():
            raise AssertionError(f"{what}: not within {within_s:g} s of a quiet machine")
        time.sleep(every_s)


def is_there(found: T | None) -> TypeGuard[T]:
    """0 is: an exit code, a count."""
    return found is not None and found is not False and not (isinstance(found, Sized) and len(found) == 0)
