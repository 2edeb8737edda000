"""Lines at the end of a file that outlives the process which writes to it, and that a crash may have torn."""

from __future__ import annotations

import os
from typing import IO

__all__ = ["append_line"]

NEWLINE = b"\n"


def append_line(file: IO[bytes], line: str) -> None:
    """Writes `line` as one of its own: where the last one was torn, it stays so, and takes none with it.

    `file` is open to be read and appended to ("ab+"). Characters that UTF-8 has not become question marks. Raises OSError.
    """
    if file.seek(0, os.SEEK_END):
        file.seek(-1, os.SEEK_END)
        if file.read(1) != NEWLINE:
            file.write(NEWLINE)
    file.write(line.encode(errors="replace") + NEWLINE)
