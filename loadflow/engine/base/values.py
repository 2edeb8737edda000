"""JSON values: how they are compared, held for true, read as numbers, and shown. The core has the same: `native/src/values/value.rs`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["SHOWN", "alike", "is_in", "number_of", "same", "shown", "text_of", "truthy"]

FALSE_WORDS = frozenset({"", "false", "0", "no", "none", "null"})
SPACES = " \t\n\r\x0b\x0c"  # what is cut off around words and numbers
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
SHOWN = 200  # characters of a value in a message

# One encoder for all: json.dumps makes a new one for every call that has options, which costs three times the encoding of a float.
_as_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode


def text_of(value: object) -> str:
    """How a value stands inside a longer string: text as it is, all else as JSON, compact.

    >>> [text_of(value) for value in ("a", 5, True, None, [1, "b"])]
    ['a', '5', 'true', 'null', '[1,"b"]']
    """
    if isinstance(value, str):
        return value
    if type(value) is int:
        return str(value)
    return _as_json(value)


def shown(value: object) -> str:
    """A value in a message: compact JSON, not too long.

    >>> print(shown({"a": None, "b": [True, "it's"]}))
    {"a":null,"b":[true,"it's"]}
    """
    text = _as_json(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def same(found: object, wanted: object) -> bool:
    """JSON equality: true is not 1, at any depth; 1 is 1.0."""
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        return found.keys() == wanted.keys() and all(same(value, wanted[key]) for key, value in found.items())
    if isinstance(found, list) and isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    return bool(found == wanted) and isinstance(found, bool) == isinstance(wanted, bool)


def alike(one: Any, other: Any) -> bool:
    """Equality in conditions: JSON's, and text equals a number or boolean that is written like it.

    Where a value comes from must not decide: 5 from a JSON body, "5" from a header or `--var`. LoadDensity compares placeholders as
    text, and writes true as "True": a boolean is taken in any case.

    >>> [alike(5, "5"), alike(False, "False"), alike(5, "5.0"), alike(1, True), alike(None, "null")]
    [True, True, False, False, False]
    """
    if isinstance(one, str) is isinstance(other, str):
        return same(one, other)
    text, value = (one, other) if isinstance(one, str) else (other, one)
    if not isinstance(value, bool | int | float):
        return False
    return bool((text.lower() if isinstance(value, bool) else text) == text_of(value))


def is_in(needle: object, haystack: object) -> bool:
    """Whether a list, or the keys of an object, hold something alike, or a text has the needle as a part; false for all else."""
    if isinstance(haystack, str):
        return isinstance(needle, str | int | float) and text_of(needle) in (haystack.lower() if isinstance(needle, bool) else haystack)
    return isinstance(haystack, list | Mapping) and any(alike(one, needle) for one in haystack)


def truthy(value: object) -> bool:
    """Python's truth, but for text: blank and the words false, 0, no, none, null (in any case) are false."""
    if isinstance(value, str):
        return value.strip(SPACES).lower() not in FALSE_WORDS
    return bool(value)


def number_of(value: object) -> float | None:
    """The number that a value is, or that its text says in decimal digits.

    >>> [number_of(value) for value in (200, " 200.0 ", True, "inf")]
    [200.0, 200.0, None, None]
    """
    if isinstance(value, str) and NUMBER.fullmatch(text := value.strip(SPACES)):
        return float(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
