"""How the bytes of sockets are written in a script."""

from __future__ import annotations

__all__ = ["HEX", "bytes_of"]

HEX = "hex:"


def bytes_of(text: str) -> bytes:
    """Text as UTF-8, or the bytes behind `hex:`, which may stand in groups. Raises ValueError if it is not hexadecimal.

    >>> bytes_of("hex:01 ff")
    b'\\x01\\xff'
    """
    return bytes.fromhex(text[len(HEX) :]) if text.startswith(HEX) else text.encode()
