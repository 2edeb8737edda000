"""Who goes first on a busy machine: the load, before what only shows it."""

from __future__ import annotations

import contextlib
import os
import sys
import threading

__all__ = ["after_the_load"]

NICENESS = 10  # a ninth of the share of a thread at 0, when both want the same core


def after_the_load() -> None:
    """Let the calling thread, and the threads it starts from now on, take its turn behind engines on the same cores.

    Only Linux has a niceness per thread; elsewhere nothing happens.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
