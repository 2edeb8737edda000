"""Bodies in gzip and deflate, within bounds of bytes and of members."""

from __future__ import annotations

import zlib

from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.records.outcome import Outcome

__all__ = ["MOST_MEMBERS", "inflated"]

MOST_MEMBERS = 1_000  # of one gzip body (RFC 1952 section 2.2); each takes a decoder of its own, and may hold nothing
PIECE_BYTES = 65_536
GZIP_MAGIC = b"\x1f\x8b"


def inflated(raw: bytes | bytearray, encoding: str, most_bytes: int) -> bytes:
    """`encoding`: "gzip", "x-gzip" or "deflate". Raises HitFailure if the body is not in that coding, ends early, or is too large."""
    try:
        return _inflated(raw, zlib.MAX_WBITS | (16 if encoding.endswith("gzip") else 0), most_bytes)
    except zlib.error:
        if encoding == "deflate":  # many servers mean raw deflate, not the zlib format of RFC 9110
            try:
                return _inflated(raw, -zlib.MAX_WBITS, most_bytes)
            except zlib.error:
                pass
        raise HitFailure(Outcome.PROTOCOL, f"the body is not valid {encoding}") from None


def _inflated(raw: bytes | bytearray, window_bits: int, most_bytes: int) -> bytes:
    body = bytearray()
    at = 0
    for _ in range(MOST_MEMBERS):
        inflater = zlib.decompressobj(window_bits)
        # in pieces: what a member leaves over is copied, and there may be many members
        while at < len(raw) and not inflater.eof:
            piece = inflater.unconsumed_tail or raw[at : at + PIECE_BYTES]
            body += inflater.decompress(piece, most_bytes + 1 - len(body))
            if len(body) > most_bytes:
                raise HitFailure(Outcome.TOO_LARGE, f"the decoded body is over max_body_bytes ({most_bytes:,})")
            at += len(piece) - len(inflater.unconsumed_tail) - len(inflater.unused_data)
        if not inflater.eof:
            raise HitFailure(Outcome.CLOSED, "the compressed body ends early")
        if window_bits <= zlib.MAX_WBITS or raw[at : at + 2] != GZIP_MAGIC:
            return bytes(body)
    raise HitFailure(Outcome.PROTOCOL, f"the body is gzip of more than {MOST_MEMBERS:,} members")
