"""Keeps a page small, however long a target's texts are: clips each one and spends a budget over all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping

from markupsafe import escape

__all__ = ["SAMPLE_CHARACTERS", "Budget", "clip", "sample_parts"]

SAMPLE_CHARACTERS = 6_000  # of one part of a sample: a request, a response


def clip(text: str, characters: int) -> str:
    """
    >>> clip("a long text", 6)
    'a lon…'
    """
    return text if len(text) <= characters else text[: characters - 1] + "…"


class Budget:
    """Bytes of HTML, escaped and in UTF-8, that texts of one kind may take together.

    >>> budget = Budget(12)
    >>> budget.take("<b>", 100), budget.take("more", 100), budget.take("", 100)
    ('<b>', None, '')
    """

    def __init__(self, size_bytes: int) -> None:
        self.left_bytes = size_bytes

    def take(self, text: str, characters: int) -> str | None:
        """The text, clipped to `most` characters; None if the remaining space is too small."""
        clipped = clip(text, characters)
        size = len(str(escape(clipped)).encode("utf-8", "replace"))
        if size > self.left_bytes:
            return None
        self.left_bytes -= size
        return clipped


def sample_parts(sample: Mapping[str, object]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """One sample as (plain values, blocks of text), whatever its protocol put into it.

    >>> sample_parts({"user": 4, "request": {"method": "GET", "url": "/x", "headers": {"a": "b"}, "body": ""}})
    ([('user', '4')], [('request', 'GET /x\\na: b')])
    """
    values: list[tuple[str, str]] = []
    blocks: list[tuple[str, str]] = []
    for key, value in sample.items():
        if isinstance(value, Mapping):
            blocks.append((str(key), _block(value)))
        elif isinstance(value, list):
            blocks.append((str(key), _text(value)))
        elif value is not None and value != "":
            values.append((str(key), _text(value)))
    return values, blocks


def _block(part: Mapping[str, object]) -> str:
    """As it went over the wire, as far as known: first line, headers, an empty line, body; other keys one a line."""
    rest = dict(part)
    first = " ".join(_text(rest.pop(key)) for key in ("method", "url", "status") if key in rest)
    headers, body = rest.pop("headers", None), rest.pop("body", None)
    lines = [first] if first else []
    lines += [f"{key}: {_text(value)}" for key, value in rest.items()]
    if isinstance(headers, Mapping):
        lines += [f"{key}: {_text(value)}" for key, value in headers.items()]
    elif headers:
        lines.append(_text(headers))
    if body not in (None, ""):
        lines += ["", _text(body)]
    return "\n".join(lines)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
