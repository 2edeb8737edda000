"""Every value in a step that could be different in the next run, and where it stands: shown to a visitor, who may replace it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote, unquote_plus, urlsplit

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.recording.dynamic import holds_secrets, is_secret_name

__all__ = ["DOLLAR", "Kind", "Place", "Visit", "literal", "visit_values"]

Kind = Literal["url", "target", "path", "query", "header", "cookie", "form", "json", "text", "auth", "referer"]

DEEPEST_QUOTES = 3
DOLLAR = "dollar_sign"  # `${` can't be written in a step, so its first character comes from a variable

_TOKEN = r"(?P<token>[\w.~+/=%-]{6,4096})"
_IN_TEXT = re.compile(
    r"""(?P<head>["']?(?P<name>[\w.\[\]-]{1,64})["']?\s{0,4}[:=]\s{0,4})"""
    r"""(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|'(?P<single>[^']*)'|(?P<bare>[^\s"'<>&;,{}()\[\]$]+))"""
    r"""|(?P<open><(?P<tag>[\w:.-]{1,64})(?:\s[^<>]{0,200})?>)(?P<inner>[^<>$]+)(?=</)"""
    rf"""|{_TOKEN}""",
    re.ASCII,
)
_SCHEME = re.compile(r"([A-Za-z][\w-]{1,30}) +([^\s,=]+=*)")  # Bearer …, Token …, Basic …
_PLAIN = re.compile(r"[\w.~-]*", re.ASCII)  # RFC 3986 section 2.3: never percent-encoded


@dataclass(frozen=True, slots=True)
class Place:
    """`name`: of the field, key, header or parameter, "" in paths. `is_secret`: it, or what it is inside of, is named like a secret."""

    kind: Kind
    name: str = ""
    is_secret: bool = False
    is_number: bool = False

    def __str__(self) -> str:
        words = {"url": "URL", "target": "URL", "json": "JSON", "referer": "URL in header"}
        return f"{words.get(self.kind, self.kind)}{f' {self.name[:60]}' if self.name else ''}"


# gives what to write instead, or None to leave the value
Visit = Callable[[str, Place], str | None]


def literal(text: str) -> str:
    """`text` so that nothing in it is taken for a placeholder.

    >>> literal("costs ${price}")
    'costs ${var.dollar_sign}{price}'
    """
    return text.replace("${", f"${{var.{DOLLAR}}}{{")


def visit_values(step: JsonObject, visit: Visit) -> None:
    """Show every value of `step` and put the replacements in. The most comprehensive comes first: a whole URL, then its parts."""
    _visit_url(step, visit)
    headers = step.get("headers") or {}
    for name in headers:
        headers[name] = _header(name, headers[name], visit)
    for name, value in (step.get("cookies") or {}).items():
        step["cookies"][name] = _or_same(visit(value, Place("cookie", name, True)), value)
    auth = step.get("auth")
    if auth:
        auth["password"] = _or_same(visit(auth["password"], Place("auth", "password", True)), auth["password"])
    if "json" in step:
        step["json"] = _json(step["json"], Place("json"), visit)
    data = step.get("data")
    if isinstance(data, str):
        step["data"] = _text(data, visit)
    elif isinstance(data, dict):
        step["data"] = {name: _field(name, value, visit) for name, value in data.items()}
    elif data is not None:
        step["data"] = [[name, _field(name, value, visit)] for name, value in data]


def _or_same(replacement: str | None, value: str) -> str:
    return value if replacement is None else replacement


def _place(kind: Kind, name: str) -> Place:
    return Place(kind, name, is_secret_name(name))


def _visit_url(step: JsonObject, visit: Visit) -> None:
    url: str = step["request_url"]
    made, params = _url(url, visit, "query")
    step["request_url"] = made
    if params is not None:
        step["params"] = params


def _url(url: str, visit: Visit, kind: Kind) -> tuple[str, list[list[str]] | None]:
    """The URL with replacements; pairs for `params` where a replaced value has to be encoded, which only `params` does."""
    whole = visit(url, Place("url" if kind == "query" else kind))
    if whole is not None:
        return whole, None
    parts = urlsplit(url)
    origin, target = url[: len(parts.scheme) + 3 + len(parts.netloc)], url[len(parts.scheme) + 3 + len(parts.netloc) :]
    if kind == "query":
        replaced = visit(target, Place("target"))
        if replaced is not None:
            return f"{origin}{replaced}", None
    path, question, query = target.partition("?")
    path = "/".join(_segment(segment, visit, kind) for segment in path.split("/"))
    if not question:
        return f"{origin}{path}", None
    pieces = [(piece, *_query_piece(piece, visit, kind)) for piece in query.split("&")]
    if kind == "query" and any(made is not None and not _PLAIN.fullmatch(piece.partition("=")[2]) for piece, made, _ in pieces):
        return f"{origin}{path}", [pair for _, _, pair in pieces if pair[0] or pair[1]]
    return f"{origin}{path}?" + "&".join(piece if made is None else made for piece, made, _ in pieces), None


def _segment(segment: str, visit: Visit, kind: Kind) -> str:
    """A part of a path; of `a;jsessionid=b` each on its own. What would have to be encoded can't be put in."""
    made = []
    for index, piece in enumerate(segment.split(";")):
        name, equals, value = piece.partition("=") if index else ("", "", piece)
        shown = unquote(value)
        replaced = visit(shown, _place("path" if kind == "query" else kind, unquote(name))) if value and shown == value else None
        made.append(piece if replaced is None else f"{name}{equals}{replaced}")
    return ";".join(made)


def _query_piece(piece: str, visit: Visit, kind: Kind) -> tuple[str | None, list[str]]:
    """The piece with its value replaced, None if it stays; and the pair that it is."""
    name, equals, value = piece.partition("=")
    key, shown = unquote_plus(name), unquote_plus(value)
    replaced = visit(shown, _place(kind, key)) if shown else None
    pair = [literal(key), literal(shown) if replaced is None else replaced]
    return (None if replaced is None else f"{name}{equals}{replaced}"), pair


def _header(name: str, value: str, visit: Visit) -> str:
    if value.startswith(("http://", "https://")):
        try:
            return _url(value, visit, "referer")[0]
        except ValueError:  # half an IPv6 address
            pass
    place = _place("header", name)
    scheme = _SCHEME.fullmatch(value) if place.is_secret else None
    if scheme is not None:
        replaced = visit(scheme[2], place)
        return value if replaced is None else f"{scheme[1]} {replaced}"
    return _or_same(visit(value, place), value)


def _field(name: str, value: str, visit: Visit) -> str:
    replaced = visit(value, _place("form", name))
    if replaced is not None:
        return replaced
    return _text(value, visit) if _holds_values(value) else value


def _holds_values(text: str) -> bool:
    return text.lstrip()[:1] in ("{", "[", "<") or "=" in text


def _json(value: object, place: Place, visit: Visit) -> object:
    if isinstance(value, dict):
        return {key: _json(item, _place_inside(place, key, item), visit) for key, item in value.items()}
    if isinstance(value, list):
        return [_json(item, place, visit) for item in value]
    if isinstance(value, str):
        replaced = visit(value, place)
        return replaced if replaced is not None else _text(value, visit) if _holds_values(value) else value
    if isinstance(value, int) and not isinstance(value, bool):
        replaced = visit(str(value), Place("json", place.name, place.is_secret, True))
        return value if replaced is None else replaced
    return value


def _place_inside(place: Place, key: str, value: object) -> Place:
    named = holds_secrets(key) or (is_secret_name(key) and not isinstance(value, dict))
    return Place("json", key, place.is_secret or named)


def _text(text: str, visit: Visit, depth: int = 0) -> str:
    """Values in a text of any form, found by what stands before them: `name: value`, `name=value`, `<name>value</name>`.

    What stands in quotes is looked into as well: `href="/a?token=b"`.
    """

    def replace(match: re.Match[str]) -> str:
        name = match["name"] or match["tag"] or ""
        group = next(key for key in ("quoted", "single", "bare", "inner", "token") if match[key] is not None)
        value = match[group]
        replaced = visit(value, _place("text", name)) if value and not value.startswith("${") else None
        if replaced is None and group in ("quoted", "single") and depth < DEEPEST_QUOTES and _holds_values(value):
            replaced = _text(value, visit, depth + 1)
        if replaced is None:
            return match[0]
        start = match.start(group) - match.start()
        return f"{match[0][:start]}{replaced}{match[0][start + len(value) :]}"

    return _IN_TEXT.sub(replace, text)
