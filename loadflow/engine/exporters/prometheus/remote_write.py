"""Prometheus' remote write, version 1: a request of every series' value now. https://prometheus.io/docs/specs/prw/remote_write_spec/

Two small formats are written by hand: its messages of protobuf, and Snappy's block format with nothing compressed in it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

from loadflow.engine.exporters.prometheus.wire import double, message, text, unsigned, varint

__all__ = ["HEADERS", "snappy_block", "write_request"]

HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
    "User-Agent": "loadflow",
}
LITERAL_BYTES = 65_536  # of one piece: its length fits two bytes


def write_request(samples: Iterable[tuple[str, Mapping[str, str], float]], unix_ms: int) -> bytes:
    """A WriteRequest of (name, labels, value), all at one time. Labels without text are left out, as Prometheus has it."""
    series = []
    for name, labels, value in samples:
        known = sorted({"__name__": name, **{key: word for key, word in labels.items() if word}}.items())
        sample = double(1, value) + unsigned(2, unix_ms)
        series.append(b"".join(message(1, text(1, key) + text(2, word)) for key, word in known) + message(2, sample))
    return b"".join(message(1, one) for one in series)


def snappy_block(data: bytes) -> bytes:
    """`data` as literals. https://github.com/google/snappy/blob/main/format_description.txt"""
    pieces = [varint(len(data))]
    for start in range(0, len(data), LITERAL_BYTES):
        piece = data[start : start + LITERAL_BYTES]
        pieces += [b"\xf4", struct.pack("<H", len(piece) - 1), piece]  # 61 << 2: a literal whose length stands in two bytes
    return b"".join(pieces)
