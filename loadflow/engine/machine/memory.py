"""Memory that a long-lived process has freed: given back to the machine, not kept by the C library.

glibc gives each thread an arena of its own, up to eight for each core, and keeps there what the thread freed. A server that runs each
script on a new thread would come to hold the largest script's memory once for each arena.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys

__all__ = ["few_arenas", "give_back"]

ARENA_MAX = -8  # M_ARENA_MAX of <malloc.h>
ARENAS = 2  # threads of Python allocate in turns


def few_arenas() -> None:
    """Let all threads of this process share two arenas. Only glibc has them; elsewhere nothing happens."""
    with contextlib.suppress(OSError, AttributeError):
        _libc().mallopt(ARENA_MAX, ARENAS)


def give_back() -> None:
    """Give memory that is free back to the machine; takes milliseconds. Only glibc needs it; elsewhere nothing happens."""
    with contextlib.suppress(OSError, AttributeError):
        _libc().malloc_trim(0)


def _libc() -> ctypes.CDLL:
    if sys.platform != "linux":
        raise OSError("glibc is on Linux only")
    return ctypes.CDLL(None)
