"""When what comes can be no answer any more; `native/src/os/turn.rs` says the same for the core."""

from __future__ import annotations

from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.records.outcome import Outcome

__all__ = ["MOST_BESIDE_BYTES", "MOST_TLS_BYTES", "is_endless", "refuse_endless"]

# What may come beside the body of an answer: head, interim answers, lines of chunks, trailers, frames without content.
# As over HTTP/2 in the native core: each byte of a body may come in a piece of its own.
MOST_BESIDE_BYTES = 1024 * 1024
BESIDE_PER_BYTE = 16
MOST_TLS_BYTES = 256 * 1024  # of a TLS session between two bytes of content, its handshake too; OpenSSL takes chains of 100 kB


def is_endless(received: int, body_bytes: int) -> bool:
    """Whether `received` bytes are too many for an answer with a body of `body_bytes` bytes.

    >>> is_endless(2_000_000, 2_000_000), is_endless(2_000_000, 10)
    (False, True)
    """
    return received > MOST_BESIDE_BYTES + BESIDE_PER_BYTE * body_bytes


def refuse_endless(received: int, body_bytes: int) -> None:
    """Raises HitFailure."""
    if is_endless(received, body_bytes):
        raise HitFailure(Outcome.PROTOCOL, f"over {MOST_BESIDE_BYTES:,} bytes beside the body, and no end")
