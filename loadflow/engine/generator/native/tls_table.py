"""Whom the TLS connections of a plan trust, and what they show, as the native core takes it."""

from __future__ import annotations

from certifi import where as ca_bundle

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.base.pem import decrypted_key
from loadflow.engine.protocols.running.tls_files import Certificate

__all__ = ["TlsTable"]


class TlsTable:
    """The trust settings of a plan, each once; steps name them by number."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[bool | str, Certificate, bool], int] = {}

    def number(self, verify: bool | str, cert: Certificate, *, http2: bool = False) -> int:
        """`http2`: the peer has to choose that (ALPN), whatever the plan says of HTTP."""
        return self._numbers.setdefault((verify, cert, http2), len(self._numbers))

    def to_json(self) -> list[JsonObject]:
        return [
            {
                "verify": verify is not False,
                "authorities": [] if verify is False else [ca_bundle() if verify is True else verify],
                "certificate": (cert, cert) if isinstance(cert, str) else cert and cert[:2],
                "key": decrypted_key(cert[1], cert[2]).decode() if isinstance(cert, tuple) and len(cert) > 2 else None,
                "http2": http2,
            }
            for verify, cert, http2 in self._numbers
        ]
