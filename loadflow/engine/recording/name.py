"""What a step is called: method and path, without what differs from hit to hit, so that a report has few series."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from loadflow.engine.recording.dynamic import looks_like_id

__all__ = ["fewer_names", "origin_of", "short_url", "step_name", "with_id"]

MOST_ALIKE = 4
_NUMBER = re.compile(r"/[0-9]+(?=/|$)")


def step_name(method: str, url: str, main_origin: str) -> str:
    """`GET /orders/{id}`; the host stands before the path where it is not the recording's main one.

    >>> step_name("GET", "https://shop.example/orders/48211903?page=2", "https://shop.example")
    'GET /orders/{id}'
    >>> step_name("GET", "https://cdn.example/app.js", "https://shop.example")
    'GET cdn.example/app.js'
    """
    return f"{method} {'' if origin_of(url) == main_origin else urlsplit(url).netloc.rpartition('@')[2]}{_path(url)}"


def fewer_names(names: Sequence[str]) -> list[str]:
    """`names` in which short numbers in a path are {id} too, where more than MOST_ALIKE differ in nothing else.

    >>> fewer_names([f"GET /page/{number}" for number in range(9)])[:2], fewer_names(["GET /status/200", "GET /status/404"])
    (['GET /page/{id}', 'GET /page/{id}'], ['GET /status/200', 'GET /status/404'])
    """
    alike: dict[str, set[str]] = {}
    for name in names:
        alike.setdefault(_NUMBER.sub("/{id}", name), set()).add(name)
    shared = {name for group in alike.values() if len(group) > MOST_ALIKE for name in group}
    return [_NUMBER.sub("/{id}", name) if name in shared else name for name in names]


def with_id(name: str, segment: str) -> str:
    """`name` with {id} for this part of its path, which is now known to differ.

    >>> with_id("GET /users/4711/orders", "4711")
    'GET /users/{id}/orders'
    """
    return "/".join("{id}" if index and part == segment else part for index, part in enumerate(name.split("/")))


def short_url(url: str) -> str:
    """A URL for a report: without user, query and ids; for URLs other than HTTP only the beginning.

    >>> short_url("https://u:p@a.example/reset/8f14e45fceea167a5a36dedd4bea2543?token=x"), short_url("data:text/plain;base64,c2VjcmV0")
    ('https://a.example/reset/{id}', 'data:…')
    """
    scheme, found, _ = url.partition("://")
    if not found or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]{0,20}", scheme):
        return f"{url.split(':', 1)[0][:20]}:…" if ":" in url else url[:40].split("?")[0]
    try:
        return f"{scheme}://{urlsplit(url).netloc.rpartition('@')[2][:100]}{_path(url)[:200]}"
    except ValueError:
        return f"{scheme}://…"


def origin_of(url: str) -> str:
    """Scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _path(url: str) -> str:
    path = urlsplit(url).path or "/"
    path = "/".join(_segment(segment) for segment in path.split("/"))
    return path.replace("${", "$").replace("\x00", "")


def _segment(segment: str) -> str:
    plain, semicolon, _ = segment.partition(";")  # ;jsessionid=…
    stem, dot, ending = plain.rpartition(".")
    if dot and re.fullmatch(r"[A-Za-z][A-Za-z0-9]{0,4}", ending) and looks_like_id(unquote(stem)):
        return f"{{id}}.{ending}"
    return "{id}" if looks_like_id(unquote(plain)) else plain or (semicolon and "")
