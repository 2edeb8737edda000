"""Protobuf's wire format, as far as Prometheus' small messages need it. https://protobuf.dev/programming-guides/encoding/"""

from __future__ import annotations

import struct

__all__ = ["double", "message", "signed", "text", "unsigned", "varint"]

VARINT, FIXED64, BYTES = 0, 1, 2  # wire types


def varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def unsigned(number: int, value: int) -> bytes:
    """A field of type int64, uint64 or an enum; not below 0."""
    return varint(number << 3 | VARINT) + varint(value)


def signed(number: int, value: int) -> bytes:
    """A field of type sint32 or sint64: zigzag."""
    return unsigned(number, value << 1 if value >= 0 else (-value << 1) - 1)


def double(number: int, value: float) -> bytes:
    return varint(number << 3 | FIXED64) + struct.pack("<d", value)


def message(number: int, content: bytes) -> bytes:
    return varint(number << 3 | BYTES) + varint(len(content)) + content


def text(number: int, value: str) -> bytes:
    return message(number, value.encode())
