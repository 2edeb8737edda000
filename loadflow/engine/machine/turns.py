"""Who goes first on a busy machine: the load, before what only shows it."""

from __future__ import annotations

import contextlib
import os
import sys
import threading

__all__ = ["after_the_load"]


def after_the_load() -> None:
    """Let the calling thread, and the threads it starts from now on, run only when no engine wants the same core.

    Linux: its idle class. A low priority alone is not enough: the scheduler lets a thread of low priority end its slice, of some
    milliseconds, before the engine that was woken runs again. Elsewhere nothing happens: only Linux schedules single threads.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.sched_setscheduler(threading.get_native_id(), os.SCHED_IDLE, os.sched_param(0))
