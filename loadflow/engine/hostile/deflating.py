"""Compressed zeros by the megabyte, made in a moment: a block of them is packed once and repeated."""

from __future__ import annotations

import struct
import zlib

__all__ = ["gzip_of_zeros"]

MEGABYTE = 2**20


def gzip_of_zeros(megabytes: int) -> bytes:
    """A gzip member (RFC 1952) of that many bytes; its checksum is wrong, which shows only when all of it is unpacked."""
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(bytes(MEGABYTE)) + packer.flush(zlib.Z_FULL_FLUSH)  # ends at a byte, and refers to nothing before it
    end = packer.flush(zlib.Z_FINISH)
    trailer = struct.pack("<II", 0, megabytes * MEGABYTE % 2**32)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + block * megabytes + end + trailer
