"""Prometheus' remote write, version 1: a request of every series' value now. https://prometheus.io/docs/specs/prw/remote_write_spec/

Two small formats are written by hand: four messages of protobuf, and Snappy's block format with nothing compressed in it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

__all__ = ["HEADERS", "snappy_block", "write_request"]

HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
    "User-Agent": "loadflow",
}
LITERAL_BYTES = 65_536  # of one piece: its length fits two bytes
BYTES, DOUBLE, VARINT = 2, 1, 0  # protobuf's wire types


def write_request(samples: Iterable[tuple[str, Mapping[str, str], float]], unix_ms: int) -> bytes:
    """A WriteRequest of (name, labels, value), all at one time. Labels without text are left out, as Prometheus has it."""
    series = []
    for name, labels, value in samples:
        known = sorted({"__name__": name, **{key: text for key, text in labels.items() if text}}.items())
        sample = _field(1, DOUBLE) + struct.pack("<d", value) + _field(2, VARINT) + _varint(unix_ms)
        series.append(b"".join(_message(1, _text(1, key) + _text(2, text)) for key, text in known) + _message(2, sample))
    return b"".join(_message(1, one) for one in series)


def snappy_block(data: bytes) -> bytes:
    """`data` as literals. https://github.com/google/snappy/blob/main/format_description.txt"""
    pieces = [_varint(len(data))]
    for start in range(0, len(data), LITERAL_BYTES):
        piece = data[start : start + LITERAL_BYTES]
        pieces += [b"\xf4", struct.pack("<H", len(piece) - 1), piece]  # 61 << 2: a literal whose length stands in two bytes
    return b"".join(pieces)


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _field(number: int, wire_type: int) -> bytes:
    return _varint(number << 3 | wire_type)


def _message(number: int, content: bytes) -> bytes:
    return _field(number, BYTES) + _varint(len(content)) + content


def _text(number: int, text: str) -> bytes:
    return _message(number, text.encode())
