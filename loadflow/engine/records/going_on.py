"""Whether a run is in progress: the process that makes the load holds a lock, which ends with that process, however it dies.

A missing end alone would call a run that was killed a living one for ever, and a number of a process may be another's by now. The lock
is flock(2)'s: no process that is started meanwhile inherits it, and it is seen from another container that shares the folder.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from loadflow.engine.base.disk import told_disk
from loadflow.engine.base.private import opener

__all__ = ["LOCK", "RUNNING", "going_on", "is_held"]

RUNNING = "running"  # where lists of runs have a verdict
LOCK = "running.lock"


@contextmanager
def going_on(folder: Path) -> Iterator[None]:
    """Inside of the block this process makes the run of `folder`."""
    path = folder / LOCK
    with told_disk(folder):
        file = open(path, "a", encoding="utf-8", opener=opener)  # noqa: SIM115  open as long as the run
    with file:
        with suppress(OSError):  # a file system without locks: the run will not be seen as one that goes on
            fcntl.flock(file, fcntl.LOCK_EX)  # waits for a reader that tests the lock, which takes a moment
        try:
            yield
        finally:
            with suppress(OSError):
                path.unlink()


def is_held(folder: Path) -> bool:
    """Whether a living process makes the run of `folder`; False where that can't be seen."""
    try:
        fd = os.open(folder / LOCK, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(fd)
    return False
