"""Which recorded cookies a virtual user's own jar will not have: those that no response before had set."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from loadflow.engine.recording.exchange import Exchange
from loadflow.engine.recording.places import literal

__all__ = ["unset_cookies"]

_SENDABLE = re.compile(r"[\t\x20-\x7e\x80-\uffff]*")


def unset_cookies(exchanges: Sequence[Exchange]) -> list[dict[str, str]]:
    """For each exchange the cookies that its step has to send itself.

    A cookie is taken to be for all hosts whose names share the last two labels with the one that set it; the jar knows better when
    the script runs.
    """
    held: set[tuple[str, str]] = set()
    found = []
    for exchange in exchanges:
        site = _site(exchange.url)
        found.append(
            {
                name: literal(value)
                for name, value in exchange.cookies
                if (site, name) not in held and "${" not in name and _SENDABLE.fullmatch(f"{name}={value}")
            }
        )
        held.update((site, name) for name in exchange.set_cookies)
    return found


def _site(url: str) -> str:
    host = urlsplit(url).hostname or ""
    return host if re.fullmatch(r"[\d.]+|.*:.*", host) else ".".join(host.split(".")[-2:])
