"""Standard output and error whose reader may go away: a closed pipe, a full disk or a gone terminal must not end a load.

What can't be written is dropped; the first trouble is kept, for the exit code.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import TextIO, cast

__all__ = ["KeptStream", "kept_streams"]

# the reader has read enough (`| head -1`), or the terminal is gone: no reader waits for the unwritten output
GONE = frozenset({errno.EPIPE, errno.EIO, errno.ENOTCONN, errno.ECONNRESET})


class KeptStream:
    """A text stream that takes everything. `trouble`: the first error, None while there was none."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.trouble: OSError | None = None

    @property
    def is_lost(self) -> bool:
        """Whether a reader waits for the output that could not be written."""
        return self.trouble is not None and self.trouble.errno not in GONE

    def write(self, text: str) -> int:
        if self.trouble is None:
            try:
                return self._stream.write(text)
            except OSError as error:
                self._lose(error)
        return len(text)

    def flush(self) -> None:
        if self.trouble is None:
            try:
                self._stream.flush()
            except OSError as error:
                self._lose(error)

    def _lose(self, error: OSError) -> None:
        self.trouble = error
        with contextlib.suppress(OSError, ValueError):
            # what waits in the stream's buffer is written once more when Python ends, which would fail again, with a code of its own
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


@contextlib.contextmanager
def kept_streams() -> Iterator[KeptStream | None]:
    """Inside of the block both streams take everything; gives standard output, None where there is none."""
    before = sys.stdout, sys.stderr
    kept = [None if stream is None else KeptStream(stream) for stream in before]  # None: it was closed when the process began
    sys.stdout, sys.stderr = cast(tuple[TextIO, TextIO], kept)
    try:
        yield kept[0]
    finally:
        for stream in kept:
            if stream is not None:
                stream.flush()
        sys.stdout, sys.stderr = before
