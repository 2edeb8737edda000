"""The values that responses returned, as far as a later request sent them: where they were, and how a step can take them."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote, unquote_plus

from loadflow.engine.recording.exchange import Content, Exchange

__all__ = ["Found", "found_in_body", "found_in_headers"]

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

_TAG = re.compile(r"<(input|meta|button)\b([^<>]{0,4000})>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"""([\w:-]+)\s{0,4}=\s{0,4}(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
_TOKEN = re.compile(r"[\w.~+%-]{6,}", re.ASCII)
_SCALARS = re.compile(r'\s*[\[{"]')


@dataclass(frozen=True, slots=True)
class Found:
    """One value in one response. `extract` is what a step says to take it, None where the script has no way to."""

    position: int
    kind: Literal["json", "header", "html", "text"]
    name: str
    extract: Mapping[str, str] | None = None
    is_number: bool = False

    def __str__(self) -> str:
        match self.kind:
            case "json":
                return f"json_path {self.extract['path']}" if self.extract else f"JSON {self.name}"
            case "header":
                return f"header {self.name}" if self.extract else f"part of header {self.name}"
            case "html":
                return f"HTML field {self.name}"
        return "text of the body"


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
                for form in {rest.partition(";")[0].strip(), unquote(rest.partition(";")[0].strip())}:
                    if form in wanted:
                        yield form, Found(position, "header", f"Set-Cookie {key.strip()}")
            continue
        if value in wanted and names.count(lower) == 1:
            yield value, Found(position, "header", name, {"from": "header", "name": name})
        if lower in ("location", "content-location", "link"):
            for part in re.split(r"[/?&=;#<>]", value):
                if (form := unquote_plus(part)) in wanted and form != value:
                    yield form, Found(position, "header", name)


def found_in_body(content: Content, position: int, wanted: Collection[str]) -> Iterator[tuple[str, Found]]:
    """Which wanted values are a leaf of the JSON, a field of the HTML, or anywhere else in the text."""
    text = content.text
    missing = set(wanted)
    if "html" not in content.mime and _SCALARS.match(text):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        for leaf, found in _leaves(value, position, wanted):
            missing.discard(leaf)
            yield leaf, found
    elif "html" in content.mime or text.lstrip()[:1] == "<":
        for name, leaf in _html_fields(text):
            if leaf in wanted:
                missing.discard(leaf)
                yield leaf, Found(position, "html", name)
    if missing:
        for token in missing.intersection(_TOKEN.findall(text)):
            yield token, Found(position, "text", "")


def _leaves(value: Any, position: int, wanted: Collection[str]) -> Iterator[tuple[str, Found]]:
    """In the order of the document. `way` is a chain of (way before, key): paths are written only for what is found."""
    pending: list[tuple[Any, Any]] = [(value, None)]
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


def _html_fields(text: str) -> Iterator[tuple[str, str]]:
    for tag in _TAG.finditer(text):
        attributes = {
            match[1].lower(): html.unescape(next(group for group in match.groups()[1:] if group is not None))
            for match in _ATTRIBUTE.finditer(tag[2])
        }
        value = attributes.get("content" if tag[1].lower() == "meta" else "value")
        if value:
            yield attributes.get("name") or attributes.get("id") or "", value
