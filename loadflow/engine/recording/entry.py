"""One entry of a HAR, read: the request as it can be played again, or the reason why it can't be.

Recorders differ in what they leave out, so any key may be absent or of any type; what is not understood counts as absent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urldefrag, urlsplit

from loadflow.engine.recording.body import Body, read_body
from loadflow.engine.script.http_step import METHODS

__all__ = ["Request", "Unplayable", "as_dict", "as_list", "as_text", "header_pairs", "read_request"]

Pairs = tuple[tuple[str, str], ...]

# Fields that belong to the connection or are made anew for every request, and `cookie`, which is kept apart.
NOT_KEPT = {
    *("host", "content-length", "connection", "transfer-encoding", "accept-encoding", "cookie"),
    *("keep-alive", "proxy-connection", "upgrade", "http2-settings", "te", "expect"),
}
FIELD_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2
FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\ud7ff\ue000-\uffff]*")
# What a step sends anyway.
IMPLIED = {"json": ("", "application/json"), "form": ("", "application/x-www-form-urlencoded")}
REDIRECTS = (301, 302, 303, 307, 308)


class Unplayable(Exception):
    """The entry can't be a step; the text says why."""


@dataclass(frozen=True, slots=True)
class Request:
    """What one entry sent, and the little of its response that is needed in any case.

    `started_s` is seconds since the epoch, None when not known; `status` None: not known; `location` is absolute, or "".
    """

    index: int
    method: str
    url: str  # without fragment and credentials
    credentials: tuple[str, str] | None
    headers: Pairs
    cookies: Pairs
    body: Body
    status: int | None
    location: str
    set_cookies: tuple[tuple[str, str], ...]  # domain, name
    started_s: float | None
    taken_s: float
    note: str = ""


def read_request(entry: object, index: int) -> Request:
    """The request of an entry; raises Unplayable."""
    raw = as_dict(entry)
    request, response = as_dict(raw.get("request")), as_dict(raw.get("response"))
    method, url = as_text(request.get("method")).strip().upper(), urldefrag(as_text(request.get("url")).strip()).url
    pairs = header_pairs(request.get("headers"))
    status = _status(response.get("status"))
    _refuse(raw, method, url, pairs, status)
    plain_url, credentials = _without_credentials(url)
    headers, dropped = _kept(pairs)
    content_type = next((value for name, value in pairs if name.lower() == "content-type"), "")
    body, note = read_body(as_dict(request.get("postData")), content_type, request.get("bodySize"))
    if body.kind == "multipart":
        headers = tuple(pair for pair in headers if pair[0].lower() != "content-type")
    elif body.content_type.lower() not in IMPLIED.get(body.kind, ("",)) and not content_type and FIELD_VALUE.fullmatch(body.content_type):
        headers = (*headers, ("Content-Type", body.content_type))
    cookies = _cookies(pairs, request.get("cookies"))
    answered = header_pairs(response.get("headers"))
    place = next((value for name, value in answered if name.lower() == "location"), "") or as_text(response.get("redirectURL"))
    made = Request(
        index=index,
        method=method,
        url=plain_url,
        credentials=credentials,
        headers=headers,
        cookies=cookies,
        body=body,
        status=status,
        location=place if status in REDIRECTS else "",
        set_cookies=_set_cookies(answered, response.get("cookies"), urlsplit(plain_url).hostname or ""),
        started_s=_seconds(raw.get("startedDateTime")),
        taken_s=max(0.0, _number(raw.get("time"))) / 1000,
        note="; ".join(filter(None, [note, dropped])),
    )
    if not _encodable((made.url, made.headers, made.cookies, made.credentials, made.body.texts)):
        raise Unplayable("it holds half of a surrogate pair, which can't be sent")
    return made


def _refuse(raw: Mapping[str, Any], method: str, url: str, headers: Pairs, status: int | None) -> None:
    if not method or not url:
        raise Unplayable("the entry has no method or no URL")
    if method == "CONNECT":
        raise Unplayable("CONNECT opens a tunnel; what went through it is not in the recording")
    scheme = url.split(":", 1)[0].lower() if ":" in url else ""
    upgrade = any(name.lower() == "upgrade" and "websocket" in value.lower() for name, value in headers)
    socket = as_text(raw.get("_resourceType")).lower() == "websocket" or raw.get("_webSocketMessages") is not None
    if scheme in ("ws", "wss") or socket or upgrade or status == 101:
        raise Unplayable("a WebSocket")
    if scheme in ("data", "blob"):
        raise Unplayable(f"a {scheme}: URL is never sent")
    if scheme not in ("http", "https"):
        raise Unplayable(f"{scheme[:20] or 'a URL without a scheme'}{':' if scheme else ''} is not HTTP")
    if method not in METHODS:
        raise Unplayable(f"the method {method[:20]} is not available")
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        good = bool(host) and (parts.port is None or parts.port > 0)
        host.encode("idna")
    except ValueError:  # also UnicodeError
        good = False
    if not good or re.search(r"[\s${}]", parts.netloc):
        raise Unplayable("its URL is malformed")


def as_dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def as_text(value: object) -> str:
    return value if isinstance(value, str) else ""


def header_pairs(headers: object) -> Pairs:
    """Name and value of each field; nameless ones are dropped."""
    found = ((as_text(as_dict(field).get("name")).strip(), as_text(as_dict(field).get("value"))) for field in as_list(headers))
    return tuple((name, value.strip()) for name, value in found if name)


def _kept(pairs: Pairs) -> tuple[Pairs, str]:
    """The fields to send again, repeated ones joined by a comma (RFC 9110 section 5.3), and what was wrong with others."""
    kept: dict[str, tuple[str, str]] = {}
    bad = []
    for name, value in pairs:
        if name.startswith(":") or name.lower() in NOT_KEPT:
            continue
        if not FIELD_NAME.fullmatch(name) or not FIELD_VALUE.fullmatch(value):
            bad.append(ascii(name[:40]))
            continue
        first, before = kept.get(name.lower(), (name, ""))
        kept[name.lower()] = (first, f"{before}, {value}" if name.lower() in kept else value)
    return tuple(kept.values()), f"the header {', '.join(bad)} can't be sent" if bad else ""


def _cookies(headers: Pairs, listed: object) -> Pairs:
    """As the Cookie field says; where a recorder left that out, as the list does."""
    texts = [value for name, value in headers if name.lower() == "cookie"]
    pairs = [piece.strip().partition("=")[::2] for text in texts for piece in text.split(";") if "=" in piece]
    if not texts:
        pairs = [(as_text(as_dict(one).get("name")), as_text(as_dict(one).get("value"))) for one in as_list(listed)]
    return tuple((name, value) for name, value in pairs if FIELD_NAME.fullmatch(name) and FIELD_VALUE.fullmatch(value) and ";" not in value)


def _set_cookies(headers: Pairs, listed: object, host: str) -> tuple[tuple[str, str], ...]:
    """(domain, name) of the cookies that the response set. Recorders join several Set-Cookie fields by line breaks."""
    found = []
    for name, value in headers:
        if name.lower() == "set-cookie":
            for line in value.split("\n"):
                domain = re.search(r";\s*domain=\.?([^;\s]+)", line, re.IGNORECASE)
                found.append((domain[1].lower() if domain else host, line.partition("=")[0].strip()))
    for one in as_list(listed):
        cookie = as_dict(one)
        found.append((as_text(cookie.get("domain")).lstrip(".").lower() or host, as_text(cookie.get("name"))))
    return tuple(dict.fromkeys(pair for pair in found if pair[1]))


def _without_credentials(url: str) -> tuple[str, tuple[str, str] | None]:
    parts = urlsplit(url)
    userinfo, at, place = parts.netloc.rpartition("@")
    if not at:
        return url, None
    user, _, password = userinfo.partition(":")
    return parts._replace(netloc=place).geturl(), (user, password)


def _status(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    return int(value) if 100 <= value <= 599 and value == int(value) else None


def _number(value: object) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12
    return float(value) if good else 0.0  # type: ignore[arg-type]  # known to be a number


def _seconds(value: object) -> float | None:
    try:
        return datetime.fromisoformat(as_text(value)).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _encodable(values: object) -> bool:
    try:
        "".join(_flat(values)).encode()
    except UnicodeEncodeError:
        return False
    return True


def _flat(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [text for one in value for text in _flat(one)] if isinstance(value, tuple) else []
