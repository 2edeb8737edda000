"""The values that responses returned, as far as a later request sent them: where they were, and how a step can take them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any
from urllib.parse import unquote, unquote_plus

from loadflow.engine.base.json_reading import read_json
from loadflow.engine.recording.dynamic import is_strong
from loadflow.engine.recording.exchange import Content, Exchange
from loadflow.engine.recording.found_in_html import found_in_html
from loadflow.engine.recording.found_in_text import found_in_text
from loadflow.engine.recording.found_value import Found, tried

__all__ = ["found_in_body", "found_in_headers"]

# what is in every answer, or says how it was sent
PLAIN_HEADERS = frozenset(
    [
        "date",
        "server",
        "age",
        "expires",
        "last-modified",
        "content-length",
        "content-type",
        "content-encoding",
        "cache-control",
        "vary",
        "via",
    ]
)

_PART = re.compile(r"[^/?&=;#<>]+")
_NAMED = re.compile(r"[?&;#]([\w.~-]{1,64})=$", re.ASCII)
_SEGMENT = re.compile(r"/([\w.~-]{1,64})/$", re.ASCII)
_SCALARS = re.compile(r'\s*[\[{"]')


def found_in_headers(exchange: Exchange, position: int, wanted: Collection[str]) -> Iterator[tuple[str, Found]]:
    """Which wanted values are a whole header, or in a Location or Set-Cookie."""
    names = [name.lower() for name, _ in exchange.response_headers]
    for name, value in exchange.response_headers:
        lower = name.lower()
        if lower in PLAIN_HEADERS:
            continue
        if lower == "set-cookie":
            for line in value.split("\n"):
                key, _, rest = line.partition("=")
                raw, name = rest.partition(";")[0].strip(), key.strip()
                for form in {raw, unquote(raw)} & set(wanted):
                    # a step takes it as it is written; the form that was decoded is another text
                    can_be_written = form == raw and name.isprintable() and name and "${" not in name
                    yield form, Found(position, "cookie", name, {"from": "cookie", "name": name} if can_be_written else None)
            continue
        if value in wanted and names.count(lower) == 1:
            yield value, Found(position, "header", name, {"from": "header", "name": name})
        if lower in ("location", "content-location", "link", "refresh"):
            for part in _PART.finditer(value):
                if (form := unquote_plus(part[0])) in wanted and form != value:
                    can_be_read = form == part[0] and names.count(lower) == 1
                    yield form, _in_header(position, name, value, part) if can_be_read else Found(position, "header", "", inside=name)


def _in_header(position: int, header: str, value: str, part: re.Match[str]) -> Found:
    """A part after `name=` is identified by the name, any other part by the part of the path before it."""
    before, after = value[: part.start()], value[part.end() :]
    name = _NAMED.search(before)
    if name is not None:
        pattern = f"[?&;#]{re.escape(name[1])}=([^&;#<>]+)"
    else:
        segment = _SEGMENT.search(before)
        pattern = f"{re.escape(segment[0])}([^/?&=;#<>]+){re.escape(after[:1])}" if segment and not is_strong(segment[1]) else ""
    key = name[1] if name else ""
    return Found(position, "header", key, tried({"from": "header", "name": header, "pattern": pattern}, value, part[0]), inside=header)


def found_in_body(content: Content, position: int, wanted: Collection[str]) -> Iterator[tuple[str, Found]]:
    """Which wanted values are a leaf of the JSON, a field of the HTML, or anywhere else in the text."""
    text = content.text
    missing = set(wanted)
    if "html" not in content.mime and _SCALARS.match(text):
        try:
            value = read_json(text)
        except ValueError:
            value = None
        for leaf, one in _leaves(value, position, wanted):
            if one.extract is not None:
                missing.discard(leaf)
            yield leaf, one
    elif "html" in content.mime or text.lstrip()[:1] == "<":
        for leaf, one in found_in_html(text, position, wanted):
            if one.extract is not None:
                missing.discard(leaf)
            yield leaf, one
    if missing:
        yield from found_in_text(text, position, missing)


def _leaves(value: object, position: int, wanted: Collection[str]) -> Iterator[tuple[str, Found]]:
    """In the order of the document. `way` is a chain of (way before, key): paths are written only for what is found."""
    pending: list[tuple[object, object]] = [(value, None)]
    while pending:
        one, way = pending.pop()
        if isinstance(one, dict):
            pending.extend([(item, (way, key)) for key, item in one.items()][::-1])
        elif isinstance(one, list):
            pending.extend([(item, (way, index)) for index, item in enumerate(one)][::-1])
        elif isinstance(one, str):
            if one in wanted:
                yield one, _leaf(position, way, is_number=False)
        elif isinstance(one, int) and not isinstance(one, bool) and abs(one) < 10**20 and (text := str(one)) in wanted:
            yield text, _leaf(position, way, is_number=True)


def _leaf(position: int, way: Any, *, is_number: bool) -> Found:
    keys: list[str | int] = []
    while way is not None:
        way, key = way
        keys.append(key)
    keys.reverse()
    name = next((key for key in reversed(keys) if isinstance(key, str)), "")
    # a dotted path (load.checks.value_at) can't hold a key with a dot, an empty one, or half a surrogate pair
    can_be_written = all(isinstance(key, int) or (key and "." not in key and key.isprintable()) for key in keys)
    path = ".".join(str(key) for key in keys) or "."  # the dot alone is the whole body
    clean = name.encode("utf-8", "replace").decode()
    return Found(position, "json", clean, {"from": "json_path", "path": path} if can_be_written else None, is_number)
