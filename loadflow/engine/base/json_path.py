"""Where a value lies in a JSON body: dotted keys, or the forms of JSONPath (RFC 9535) that name one value.

Between dots, digits are a place in a list and a key of an object; in brackets `[0]` is a place only, and `['0']` a key only.

A path is cut here once; the native core is given the parts, so that no engine can read a path otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

__all__ = ["MISSING", "JsonKey", "parts_of", "path_text", "value_at"]

MISSING: object = object()
INDEX = re.compile(r"-?[0-9]{1,18}")
BRACKET = re.compile(r"""\[\s*(?:(-?[0-9]+)|'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\s*\]""", re.DOTALL)
ESCAPE = re.compile(r"\\(.)", re.DOTALL)
PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
ODATA = re.compile(r"(?:^|\.)([^.[]*@odata\.[^.[]+)")
FORMS = "a path names one value: items.0.id, $.items[0].id, $['a key with . in it']"


class JsonKey(str):
    """A key of an object that is no place in a list, though it may be written in digits."""

    __slots__ = ()


@lru_cache(maxsize=1024)
def parts_of(path: str) -> tuple[str | int, ...]:
    """Keys, and places in lists: an int, or the digits that may also be a key; empty parts between dots count for nothing.

    Raises ValueError if the path is ambiguous or does not name a single value.

    >>> parts_of("$.items[0]['@odata.id']"), parts_of("items.-1.id")
    (('items', 0, '@odata.id'), ('items', '-1', 'id'))
    """
    if (odata := ODATA.search(path)) is not None:
        raise ValueError(f"names two keys, and OData's have a dot in them; write ['{odata.group(1)}']")
    rest = path[1:] if path[:2] in ("$", "$.", "$[") else path
    is_rooted = len(rest) < len(path)
    parts: list[str | int] = []
    while rest:
        if rest[0] == "[":
            found = BRACKET.match(rest)
            if found is None:
                raise ValueError(f"{rest[:40]} is neither an index nor a key in quotes; {FORMS}")
            digits, single, double = found.groups()
            if digits is not None and INDEX.fullmatch(digits) is None:
                raise ValueError(f"{digits[:40]} is no place in a list; {FORMS}")
            parts.append(int(digits) if digits is not None else JsonKey(ESCAPE.sub(r"\1", single if single is not None else double)))
            rest = rest[found.end() :]
            if rest and rest[0] not in ".[":
                raise ValueError(f"{rest[:40]} must follow a dot or stand in brackets; {FORMS}")
            continue
        if is_rooted and rest.startswith(".."):
            raise ValueError(f"{rest[:40]} searches at every depth; {FORMS}")
        rest = rest.removeprefix(".")
        end = next((at for at, letter in enumerate(rest) if letter in ".["), len(rest))
        key, rest = rest[:end], rest[end:]
        if is_rooted and key == "*":
            raise ValueError(f"* stands for several values; {FORMS}")
        if key:
            parts.append(key)
    return tuple(parts)


def value_at(data: Any, path: str) -> object:
    """The value there, list items by (also negative) index; MISSING where there is none.

    >>> value_at({"items": [{"id": 7}]}, "$.items[-1].id")
    7
    """
    for part in parts_of(path):
        if isinstance(data, Mapping) and isinstance(part, str):
            if part not in data:
                return MISSING
            data = data[part]
        elif isinstance(data, list) and not isinstance(part, JsonKey):
            if (isinstance(part, str) and INDEX.fullmatch(part) is None) or not -len(data) <= int(part) < len(data):
                return MISSING
            data = data[int(part)]
        else:
            return MISSING
    return data


def path_text(parts: Iterable[str | int]) -> str:
    """The path that names exactly these: a text is a key, a number a place in a list.

    >>> path_text(["items", 0, "id"]), path_text(["a b", "0", "it's"]), path_text([])
    ('$.items[0].id', "$['a b']['0']['it\\\\'s']", '$')
    """
    return "$" + "".join(map(_part_text, parts))


def _part_text(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    if PLAIN_KEY.fullmatch(part):
        return f".{part}"
    quoted = part.replace("\\", "\\\\").replace("'", "\\'")
    return f"['{quoted}']"
