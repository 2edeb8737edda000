"""Whom the TLS connections of a plan trust, and what they show, as the native core takes it."""

from __future__ import annotations

from typing import Any

from certifi import where as ca_bundle

__all__ = ["TlsTable"]


class TlsTable:
    """The trust settings of a plan, each once; steps name them by number."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[bool | str, str | tuple[str, str] | None], int] = {}

    def number(self, verify: bool | str, cert: str | tuple[str, str] | None) -> int:
        return self._numbers.setdefault((verify, cert), len(self._numbers))

    def to_json(self) -> list[dict[str, Any]]:
        return [
            {
                "verify": verify is not False,
                "authorities": [] if verify is False else [ca_bundle() if verify is True else verify],
                "certificate": (cert, cert) if isinstance(cert, str) else cert,
            }
            for verify, cert in self._numbers
        ]
