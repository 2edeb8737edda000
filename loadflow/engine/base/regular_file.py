"""Files that scripts and recordings name are opened here: a FIFO, a device or a socket would block the process that opens it for ever."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO, Any

__all__ = ["open_regular", "read_given", "read_regular", "refuse_special"]


def open_regular(path: str | os.PathLike[str], mode: str = "r", **options: Any) -> IO[Any]:
    """`open` for reading, of a regular file or a link to one. Raises OSError for anything else, without waiting for it."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        kind = os.fstat(fd).st_mode
        if not stat.S_ISREG(kind):
            raise OSError(None, f"is {_kind(kind)}, not a file", str(path))
        os.set_blocking(fd, True)
        return open(fd, mode, **options)  # noqa: PTH123  the descriptor is what was looked at
    except BaseException:
        os.close(fd)
        raise


def read_regular(path: str | os.PathLike[str]) -> bytes:
    """All bytes of a regular file; raises OSError."""
    with open_regular(path, "rb") as file:
        data: bytes = file.read()
        return data


def read_given(path: str | os.PathLike[str]) -> bytes:
    """All bytes of what a person named on the command line: a regular file, a pipe or a terminal; raises OSError. Whoever gives a pipe
    waits for it, and can end that; a device has no end."""
    kind = Path(path).stat().st_mode
    if stat.S_ISFIFO(kind) or (stat.S_ISCHR(kind) and os.path.realpath(path) == os.path.realpath("/dev/stdin")):
        return Path(path).read_bytes()
    return read_regular(path)


def refuse_special(path: str | os.PathLike[str]) -> None:
    """Raises OSError where something is at `path` that is neither a regular file nor a folder: for files that a library opens."""
    try:
        kind = Path(path).stat().st_mode
    except OSError:
        return  # the library says it in its own words
    if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
        raise OSError(None, f"is {_kind(kind)}, not a file", str(path))


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISFIFO, "a FIFO"), (stat.S_ISSOCK, "a socket"), (stat.S_ISDIR, "a folder"))
    return next((words for test, words in kinds if test(mode)), "a device")
