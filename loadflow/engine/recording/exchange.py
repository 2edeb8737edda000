"""One entry of a recording: what was asked and what came back, read leniently, because every exporter leaves out something else.

Fields that start with an underscore are exporters' own (HAR 1.2 section 5 allows them): Chrome writes `_resourceType`,
`_webSocketMessages`, `_error` and `_fromCache`, Safari `_fetchType`; Firefox and mitmproxy write none.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

__all__ = ["Content", "Exchange", "PostData", "content_of", "exchange_of"]

Pairs = tuple[tuple[str, str], ...]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class PostData:
    """A request's body. `text` may hold half surrogates that stand for bytes; `params` are raw objects."""

    mime: str
    text: str
    params: tuple[Mapping[str, object], ...]
    is_base64: bool
    size: int | None  # bytes, where the recording says so


@dataclass(frozen=True, slots=True)
class Content:
    """A response's body as text."""

    mime: str
    text: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """`index` is the entry's place in the file. `started_s` is Unix time; it and `took_s` are None where they are not known.

    `status` 0: no answer was recorded. `set_cookies` are the names that the response set; `page` "" where there is none.
    """

    index: int
    method: str
    url: str
    headers: Pairs
    cookies: Pairs
    body: PostData | None
    started_s: float | None
    took_s: float
    page: str
    status: int
    reason: str
    response_headers: Pairs
    set_cookies: tuple[str, ...]
    redirect_url: str
    resource_type: str
    is_websocket: bool
    is_cached: bool
    error: str

    def header(self, name: str) -> str:
        return _first(self.headers, name)

    def response_header(self, name: str) -> str:
        return _first(self.response_headers, name)

    @property
    def location(self) -> str:
        """Where a redirect leads; "" if it is not a redirect."""
        return (self.response_header("location") or self.redirect_url) if self.status in (301, 302, 303, 307, 308) else ""


def exchange_of(entry: object, index: int) -> Exchange:
    """The exchange that `entry`, any JSON value, describes; what is missing or of a wrong type is empty."""
    entry = _object(entry)
    request, response = _object(entry.get("request")), _object(entry.get("response"))
    headers = _pairs(request.get("headers"))
    response_headers = _pairs(response.get("headers"))
    set_cookies = [*_set_names(response_headers), *(name for name, _ in _pairs(response.get("cookies")))]
    resource_type = _text(entry.get("_resourceType")).lower()
    return Exchange(
        index=index,
        method=_text(request.get("method")).strip().upper(),
        url=_text(request.get("url")).strip(),
        headers=headers,
        cookies=_cookies(headers, request.get("cookies")),
        body=_post_data(request, headers),
        started_s=_unix_s(entry.get("startedDateTime")),
        took_s=max(0.0, _number(entry.get("time"))) / 1e3,
        page=_text(entry.get("pageref")),
        status=_status(response.get("status")),
        reason=_text(response.get("statusText")),
        response_headers=response_headers,
        set_cookies=tuple(dict.fromkeys(set_cookies)),
        redirect_url=_text(response.get("redirectURL")),
        resource_type=resource_type,
        is_websocket=resource_type == "websocket" or "_webSocketMessages" in entry,
        is_cached=bool(entry.get("_fromCache")) or "cache" in _text(entry.get("_fetchType")).lower(),
        error=_text(response.get("_error")) or _text(entry.get("_error")),
    )


def content_of(entry: object, most: int) -> Content | None:
    """The response body of `entry` as text; None where there is none, or it is not text or longer than `most` characters."""
    content = _object(_object(_object(entry).get("response")).get("content"))
    text = content.get("text")
    if not isinstance(text, str) or not text or len(text) > most * 4 // 3:
        return None
    mime = _text(content.get("mimeType")).lower()
    if _text(content.get("encoding")).lower() == "base64":
        if mime.startswith(("image/", "font/", "audio/", "video/")):
            return None
        try:
            text = base64.b64decode(text).decode()
        except (binascii.Error, ValueError):
            return None
    return Content(mime, text) if len(text) <= most else None


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _objects(value: object) -> list[Mapping[str, object]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _text(value: object) -> str:
    """A string whose halves of surrogate pairs, which can't be written, are replaced; "" for all else."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return 0.0
    return float(value) if -1e15 < value < 1e15 else 0.0


def _status(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599 else 0


def _pairs(value: object) -> Pairs:
    return tuple((_text(one.get("name")), _text(one.get("value"))) for one in _objects(value) if _text(one.get("name")))


def _first(pairs: Pairs, name: str) -> str:
    return next((value for key, value in pairs if key.lower() == name), "")


def _set_names(headers: Pairs) -> Iterable[str]:
    for name, value in headers:
        if name.lower() == "set-cookie":
            for line in value.split("\n"):  # Chrome joins repeated fields with a line break
                yield line.split("=", 1)[0].strip()


def _cookies(headers: Pairs, recorded: object) -> Pairs:
    """What the Cookie fields say (HTTP/2 may split them, RFC 9113 section 8.2.3), else the entry's own list."""
    sent = "; ".join(value for name, value in headers if name.lower() == "cookie")
    if not sent:
        return _pairs(recorded)
    split = (part.partition("=") for part in sent.split(";"))
    return tuple((name.strip(), value.strip()) for name, _, value in split if name.strip())


def _post_data(request: Mapping[str, object], headers: Pairs) -> PostData | None:
    data = request.get("postData")
    if not isinstance(data, Mapping):
        return None
    text = data.get("text")
    length = _first(headers, "content-length")
    size = int(length) if length.isascii() and length.isdigit() and len(length) < 16 else int(_number(request.get("bodySize")))
    encoding = _text(data.get("encoding")) or _text(data.get("_encoding"))
    post = PostData(
        mime=_text(data.get("mimeType")) or _first(headers, "content-type"),
        text=text if isinstance(text, str) else "",
        params=tuple(_objects(data.get("params"))),
        is_base64=encoding.lower() == "base64",
        size=size if size > 0 else None,
    )
    return post if post.text or post.params else None


def _unix_s(value: Any) -> float | None:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH).total_seconds()
