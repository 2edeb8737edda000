"""The two HTTP users, as a script knows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from loadflow.engine.protocols.http.method import METHODS
from loadflow.engine.protocols.http.step import HttpStep, MappedHttpStep
from loadflow.engine.protocols.model.user_type import Form, UserType
from loadflow.engine.script.mistakes import Fault
from loadflow.engine.script.placeholders import has_placeholder

__all__ = ["FAST_HTTP_USER", "HTTP_USER"]


def _is_absolute(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is not a number, half an IPv6 address
        return False


def _host(host: str) -> tuple[str, str] | None:
    return None if _is_absolute(host) else ("is not an http or https URL", 'write it whole, for example "https://shop.example"')


def _faults(step: Mapping[str, object], hosted: bool) -> Iterable[Fault]:
    key = "request_url" if step.get("request_url") is not None else "url"
    url = step.get(key)
    if not isinstance(url, str) or not url or url.startswith("${"):
        return
    if "://" in url.split("?", 1)[0]:
        if not has_placeholder(url) and not _is_absolute(url):
            yield Fault((key,), "is not an http or https URL", "write it like https://shop.example/path, or relative to host")
    elif not hosted:
        yield Fault((key,), "is relative, and there is no host", "write the URL whole, or set host to what it is relative to")


def _beside(host: str) -> str | None:
    """The same server, of a test whose own users speak WebSocket."""
    return host if host.startswith("${") else f"http{host[2:]}" if host.lower().startswith(("ws://", "wss://")) else None


_FORM = Form(HttpStep, METHODS, MappedHttpStep, one_by_one=None)
_PREPARE = "loadflow.engine.protocols.http.request:HttpStep"

FAST_HTTP_USER = UserType(
    "fast_http_user",
    _FORM,
    _PREPARE,
    "loadflow.engine.protocols.http.client:FAST_HTTP",
    _host,
    _faults,
    traced=True,
    has_fields=True,
    host_beside=_beside,
)
HTTP_USER = replace(FAST_HTTP_USER, name="http_user", protocol="loadflow.engine.protocols.http.client:HTTP")
