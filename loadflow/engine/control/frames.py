"""Frames: a length of four bytes, big-endian, then that many bytes, 1 to 1,048,576. Uses no socket."""

from __future__ import annotations

import struct

__all__ = ["MAX_FRAME_BYTES", "FrameDecoder", "FrameError", "encode_frame"]

MAX_FRAME_BYTES = 1_048_576  # as LoadDensity's framed mode has it
_LENGTH = struct.Struct(">I")


class FrameError(Exception):
    """A body that no frame can hold."""


class FrameDecoder:
    """Takes bytes as they come and gives whole frames.

    `broken` says why nothing further can be read, "" while it can: after a length of 0 or above the limit, which is noticed
    as soon as it is there, because the start of the next frame is unknown.

    >>> decoder = FrameDecoder()
    >>> decoder.feed(encode_frame(b"one") + b"\\x00\\x00")
    [b'one']
    >>> decoder.pending_bytes
    2
    """

    def __init__(self) -> None:
        self.broken = ""
        self._buffer = bytearray()

    @property
    def pending_bytes(self) -> int:
        """How much of a frame that is not whole yet is held."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that `data` completes."""
        if self.broken:
            return []
        self._buffer += data
        frames = []
        start = 0
        while len(self._buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer, start)
            if not 1 <= length <= MAX_FRAME_BYTES:
                self.broken = f"a frame has 1 to {MAX_FRAME_BYTES:,} bytes, not {length:,}; send its length as 4 bytes, big-endian"
                break
            end = start + _LENGTH.size + length
            if len(self._buffer) < end:
                break
            frames.append(bytes(self._buffer[start + _LENGTH.size : end]))
            start = end
        del self._buffer[:start]
        return frames


def encode_frame(body: bytes) -> bytes:
    """Raises FrameError for a body that no frame can hold.

    >>> encode_frame(b"ok")
    b'\\x00\\x00\\x00\\x02ok'
    """
    if not 1 <= len(body) <= MAX_FRAME_BYTES:
        raise FrameError(f"a frame has 1 to {MAX_FRAME_BYTES:,} bytes, not {len(body):,}")
    return _LENGTH.pack(len(body)) + body
