"""JSON from outside (scripts, frames, recordings, files of runs): depth and length of numbers are seen before it is parsed.

A parser that follows 50,000 brackets, or makes a number of 4,301 digits, ends the process (yajl below ijson) or fills the memory.
"""

from __future__ import annotations

import json
import re
from typing import Any, AnyStr

from loadflow.engine.base.counted import counted

__all__ = ["MOST_DIGITS", "MOST_NESTING", "Bounds", "JsonBoundError", "JsonDepthError", "read_json"]

MOST_NESTING = 500  # levels; Python's own reader ends at about 990
MOST_DIGITS = 1_000  # characters of a number

_DIGITS = f"[-+.0-9eE]{{{MOST_DIGITS + 1}}}"
_LONG = (re.compile(_DIGITS), re.compile(_DIGITS.encode()))
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class JsonBoundError(ValueError):
    """JSON that is nested too deeply, or holds a number that is too long."""


class JsonDepthError(JsonBoundError):
    """JSON that is nested too deeply."""


def read_json(text: AnyStr, *, nesting: int = MOST_NESTING, **options: Any) -> Any:
    """`json.loads` with `options`. Raises ValueError if `text` can't be parsed, JsonBoundError if it is out of bounds.

    >>> read_json('{"a": [1]}')
    {'a': [1]}
    >>> read_json("[" * 501 + "]" * 501)
    Traceback (most recent call last):
    loadflow.engine.base.json_reading.JsonDepthError: the JSON is nested deeper than 500 levels
    """
    if isinstance(text, str):
        opened, may_be_long = text.count("[") + text.count("{"), _LONG[0].search(text)
    else:
        opened, may_be_long = text.count(b"[") + text.count(b"{"), _LONG[1].search(text)
    if opened > nesting or may_be_long:  # most texts need no second look
        Bounds(nesting).see(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
    try:
        return json.loads(text, **options)
    except RecursionError:  # the caller itself is deep in a stack
        raise _too_deep(nesting) from None


def _too_deep(nesting: int) -> JsonDepthError:
    return JsonDepthError(f"the JSON is nested deeper than {counted(nesting, 'level')}")


class Bounds:
    """The same for a text that comes in blocks of bytes: `see` each of them before the parser does. Raises JsonBoundError."""

    def __init__(self, nesting: int = MOST_NESTING) -> None:
        self._nesting = nesting
        self._depth = 0
        self._in_string = False
        self._half = b""  # a backslash whose character is in the next block
        self._digits = b""  # of a number at the end of the block before

    def see(self, block: bytes) -> None:
        block = self._half + block
        if (len(block) - len(block.rstrip(b"\\"))) % 2:
            block, self._half = block[:-1], b"\\"
        else:
            self._half = b""
        plain = block.replace(b"\\\\", b"").replace(b'\\"', b"")
        pieces = (b'"' + plain if self._in_string else plain).split(b'"')
        self._in_string = len(pieces) % 2 == 0
        outside = self._digits + b'"'.join(pieces[::2])  # of strings
        if _LONG[1].search(outside):
            raise JsonBoundError(f"the JSON holds a number of more than {MOST_DIGITS:,} digits")
        tail = outside[-MOST_DIGITS:]
        self._digits = b"" if self._in_string else tail[len(tail.rstrip(b"-+.0123456789eE")) :]
        for sign in outside.translate(None, _NO_BRACKETS):
            if sign in b"[{":
                self._depth += 1
                if self._depth > self._nesting:
                    raise _too_deep(self._nesting)
            else:
                self._depth -= 1
