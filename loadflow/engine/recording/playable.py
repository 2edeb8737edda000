"""Which exchanges can be played, and why the others can't."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from loadflow.engine.base.pattern import Pattern, compile_pattern
from loadflow.engine.protocols.http.method import is_method
from loadflow.engine.recording.exchange import Exchange
from loadflow.engine.script.mistakes import shorten
from loadflow.errors import CommandError, Mistake

__all__ = ["UrlFilter", "why_unplayable"]

# net::ERR_… of Chrome that say that nothing was sent; any other error may have come after the request
NEVER_SENT = re.compile(
    r"ERR_(BLOCKED|NAME_|DNS_|INTERNET_DISCONNECTED|CONNECTION_REFUSED|ADDRESS_|CERT_|SSL_|UNSAFE_PORT|PROXY_|TUNNEL_|CACHE_MISS)"
    r"|NS_ERROR_UNKNOWN_HOST|NS_ERROR_CONNECTION_REFUSED",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,20}")


class UrlFilter:
    """Keeps a URL if any regex of `include` is found in it (None or empty: all), and none of `exclude`.

    Raises CommandError for a regex that is none.

    >>> keeps = UrlFilter(["shop"], [r"\\.png$"])
    >>> keeps("https://shop.example/a"), keeps("https://shop.example/a.png"), keeps("https://ads.example/")
    (True, False, False)
    """

    def __init__(self, include: Sequence[str] | str | None = None, exclude: Sequence[str] | str | None = None) -> None:
        self._include = _compiled("include", include)
        self._exclude = _compiled("exclude", exclude)

    def __call__(self, url: str) -> bool:
        if self._include and not any(pattern.is_in(url) for pattern in self._include):
            return False
        return not any(pattern.is_in(url) for pattern in self._exclude)


def why_unplayable(exchange: Exchange) -> str:
    """Why no step can stand for this exchange; "" if one can.

    What was sent but never answered (status 0, a page left early) is played, without an assertion on its status.
    """
    if not exchange.method or not exchange.url:
        return "has no method or no URL"
    scheme = exchange.url.split(":", 1)[0].lower() if ":" in exchange.url else ""
    if exchange.method == "CONNECT":
        return "CONNECT opens a tunnel; the requests inside are entries of their own"
    if exchange.is_websocket or scheme in ("ws", "wss") or exchange.status == 101 or exchange.header("upgrade").lower() == "websocket":
        return "is a websocket"
    if scheme not in ("http", "https"):
        if not scheme:
            return "its URL is relative"
        return f"{scheme}: is nothing that is asked over HTTP" if _SCHEME.fullmatch(scheme) else "its URL can't be asked"
    if not _is_url(exchange.url):
        return "its URL can't be asked"
    if not is_method(exchange.method):
        return "its method is none"
    if exchange.is_cached:
        return "was answered by the browser's cache; nothing was sent"
    if exchange.status == 307 and exchange.response_header("non-authoritative-reason"):
        return "was answered by the browser itself (HSTS); nothing was sent"
    if exchange.status == 0 and NEVER_SENT.search(exchange.error):
        return f"was never sent ({exchange.error[:60]})"
    return ""


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if not host.isascii():
            host.encode("idna")
        return bool(host) and (parts.port is None or parts.port > 0) and not re.search(r"[\s\x00-\x1f\x7f$]", parts.netloc)
    except ValueError:  # a port that is not a number, half an IPv6 address, a host that has no ASCII form
        return False


def _compiled(key: str, patterns: Sequence[str] | str | None) -> list[Pattern]:
    found, mistakes = [], []
    for index, pattern in enumerate([patterns] if isinstance(patterns, str) else patterns or ()):
        try:
            if not isinstance(pattern, str):
                raise TypeError
            found.append(compile_pattern(pattern))
        except ValueError as error:
            mistakes.append(Mistake(f"{key}[{index}]", f"{shorten(pattern)} {error}", "escape signs that are meant as text"))
        except TypeError:
            mistakes.append(Mistake(f"{key}[{index}]", "must be text", "write a regular expression"))
    if mistakes:
        raise CommandError(mistakes)
    return found
