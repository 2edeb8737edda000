"""One exchange as a step, before anything in it is replaced."""

from __future__ import annotations

import re
from collections import Counter
from urllib.parse import unquote, urldefrag, urlsplit

from loadflow.engine.protocols.http.method import METHODS
from loadflow.engine.recording.body import body_of
from loadflow.engine.recording.exchange import Exchange
from loadflow.engine.recording.name import step_name
from loadflow.engine.recording.places import literal

__all__ = ["draft_of", "main_origin_of", "status_assertions"]

# Hop-by-hop or computed when it is sent (RFC 9110 sections 7.6.1, 8.6, 10.1.1); Accept-Encoding says what the client that plays can
# decode, and the user's own jar writes Cookie.
COMPUTED = frozenset(
    [
        "host",
        "content-length",
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
        "expect",
        "accept-encoding",
        "cookie",
    ]
)
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # as engine.load.http_request sends them
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\uffff]*")
_UPGRADED = {304: [200, 304]}  # a new user has an empty cache


def draft_of(exchange: Exchange, main_origin: str) -> tuple[dict[str, object], list[str]]:
    """The step, and notes on what could not be kept. `cookies`, assertions, extracts and think time come later."""
    url, user, password = _without_user(urldefrag(exchange.url).url)
    body = body_of(exchange.body)
    notes = [body.note] if body.note else []
    headers = _headers(exchange, notes)
    if body.makes_type:
        headers = {name: value for name, value in headers.items() if name.lower() != "content-type"}
    elif body.keys and exchange.body is not None and not any(name.lower() == "content-type" for name in headers):
        mime = exchange.body.mime.strip()
        if mime and _VALUE.fullmatch(mime):
            headers["Content-Type"] = literal(mime)
    step: dict[str, object] = {
        "method": exchange.method.lower() if exchange.method in METHODS else exchange.method,
        "request_url": url.replace("${", "$%7B"),  # what a client sends for it in any case
        "name": step_name(exchange.method, url, main_origin),
    }
    if headers:
        step["headers"] = headers
    step.update({key: _literal_body(key, value) for key, value in body.keys.items()})
    if user and not exchange.header("authorization"):
        step["auth"] = {"type": "basic", "username": literal(user), "password": literal(password)}
    return step, notes


def main_origin_of(exchanges: list[Exchange]) -> str:
    """The origin of most requests; the first of several."""
    counted = Counter(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" for parts in (urlsplit(exchange.url) for exchange in exchanges))
    return counted.most_common(1)[0][0] if counted else ""


def status_assertions(status: int) -> list[dict[str, object]]:
    """What the last answer of a step must be; nothing where the recording has no answer."""
    return [{"type": "status_code", "value": _UPGRADED.get(status, status)}] if status >= 200 else []


def _headers(exchange: Exchange, notes: list[str]) -> dict[str, str]:
    """Repeated fields are joined (RFC 9110 section 5.3), under the name that came first."""
    names: dict[str, str] = {}
    headers: dict[str, str] = {}
    for name, value in exchange.headers:
        lower = name.lower()
        if lower in COMPUTED or name.startswith(":"):
            continue
        value = value.strip()
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            notes.append(f"its header {re.sub(r'[^!-~]', '?', name)[:40]!r} can't be sent over HTTP/1.1 and was left out")
            continue
        if lower in names:
            headers[names[lower]] += f", {literal(value)}"
        else:
            names[lower] = name
            headers[name] = literal(value)
    return headers


def _without_user(url: str) -> tuple[str, str, str]:
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, "", ""
    name, _, password = user.partition(":")
    return parts._replace(netloc=host).geturl(), unquote(name), unquote(password)


def _literal_body(key: str, value: object) -> object:
    """`value` with every text in it literal; names in objects are known to hold no `${`."""
    if key == "data_base64":
        return value
    if isinstance(value, str):
        return literal(value)
    if isinstance(value, dict):
        return {name: item if name == "content_base64" else _literal_body("", item) for name, item in value.items()}
    if isinstance(value, list):
        return [_literal_body("", item) for item in value]
    return value
