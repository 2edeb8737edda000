"""Frames: four bytes of length, big-endian, then so many bytes, 1 to 1,048,576. Knows no socket."""

from __future__ import annotations

import struct

__all__ = ["MAX_FRAME_BYTES", "FrameDecoder", "FrameError", "encode_frame"]

MAX_FRAME_BYTES = 1_048_576  # as LoadDensity's framed mode has it
_LENGTH = struct.Struct(">I")


class FrameError(Exception):
    """What came is no frame; nothing after it can be read, because nobody knows where the next one starts."""


class FrameDecoder:
    """Takes bytes as they come and gives whole frames.

    >>> decoder = FrameDecoder()
    >>> decoder.feed(encode_frame(b"one") + b"\\x00\\x00")
    [b'one']
    >>> decoder.pending_bytes
    2
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def pending_bytes(self) -> int:
        """How much of a frame that is not whole yet is held."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that `data` completes. Raises FrameError for a length of 0 or above the limit, as soon as it is read."""
        self._buffer += data
        frames = []
        start = 0
        while len(self._buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer, start)
            if not 1 <= length <= MAX_FRAME_BYTES:
                raise FrameError(f"a frame has 1 to {MAX_FRAME_BYTES:,} bytes, not {length:,}; send its length as 4 bytes, big-endian")
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
