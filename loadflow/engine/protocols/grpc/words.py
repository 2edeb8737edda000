"""How calls, metadata and targets of gRPC are written in a script."""

from __future__ import annotations

import re

__all__ = ["METADATA_KEY", "RPC_KINDS", "TARGET", "key_trouble", "target_trouble"]

# what a script may call a kind of call: whether the client streams, and whether the server does
RPC_KINDS: dict[str, tuple[bool, bool]] = {
    "unary": (False, False),
    "server_stream": (False, True),
    "client_stream": (True, False),
    **dict.fromkeys(("bidi", "bidirectional", "bidi_stream"), (True, True)),
}


METADATA_KEY = re.compile(r"[0-9a-z_.-]+")  # https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, Custom-Metadata


def key_trouble(key: str) -> tuple[str, str] | None:
    """What is wrong with the key of a metadata entry, and the way out."""
    if METADATA_KEY.fullmatch(key) is None:
        if METADATA_KEY.fullmatch(key.lower()):
            return "must be lower case", f"write {key.lower()!r}"
        return "is not a metadata key", "lower case letters, digits, and any of _ . -"
    if key.startswith("grpc-"):
        return "is gRPC's own", "choose a key that does not start with grpc-; for a deadline use timeout"
    return None


# gRPC's own schemes (dns:, unix:, xds:) are left out: they could hide which host is asked
TARGET = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.~-]+):(?P<port>\d{1,5})", re.ASCII)


def target_trouble(target: str) -> tuple[str, str] | None:
    """What is wrong with a target without placeholders, and the way out."""
    match = TARGET.fullmatch(target)
    if match is None or not 1 <= int(match["port"]) <= 65_535:
        return "is not a target of gRPC", 'write host:port, for example "localhost:50051"'
    return None
