"""JSON text and JSON values, read strictly: what the standard reader lets pass is a mistake here.

A key that is there twice, `NaN`, and nesting that a reader can't follow are all accepted or badly reported by the `json` module.
"""

from __future__ import annotations

import json
import re
from typing import NoReturn

from loadflow.engine.base.json_reading import JsonDepthError, read_json
from loadflow.engine.script.mistakes import Fault, shorten
from loadflow.errors import Mistake

__all__ = ["MAX_NESTING", "json_faults", "load_json"]

# Far above what a script needs (16 scripts inside each other are 48 levels), far below what a recursive reader can take.
MAX_NESTING = 64

_LEXEME = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:]', re.DOTALL)


class _ConstantError(ValueError):
    pass


def load_json(text: str) -> tuple[object, list[Mistake]]:
    """The value that `text` holds, and what is wrong with the text; places are lines and columns from 1.

    >>> load_json('{"a": 1}')
    ({'a': 1}, [])
    >>> print(load_json('{"a" 1}')[1][0])
    line 1 column 6: expecting ':' delimiter; correct the JSON text here
    """
    try:
        value = read_json(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        message = error.msg[:1].lower() + error.msg[1:]
        return None, [Mistake(f"line {error.lineno} column {error.colno}", message, "correct the JSON text here")]
    except _ConstantError as error:
        return None, [Mistake("", f"{error} is not a JSON value", "write a number or null")]
    except JsonDepthError:
        return None, [Mistake("", f"the JSON is nested deeper than {MAX_NESTING} levels", "flatten it")]
    except ValueError:  # of more than MOST_DIGITS
        return None, [Mistake("", "a number has too many digits", "write a smaller one")]
    return value, _repeated_keys(text)


def json_faults(document: object) -> list[Fault]:
    """What keeps `document` from being a JSON value of bearable depth: at most one fault, the first in reading order."""
    pending: list[tuple[tuple[int | str, ...], object]] = [((), document)]
    while pending:
        loc, value = pending.pop()
        if isinstance(value, dict | list) and len(loc) >= MAX_NESTING:
            return [Fault(loc, f"the JSON is nested deeper than {MAX_NESTING} levels", "flatten it")]
        if isinstance(value, dict):
            strange = [key for key in value if not isinstance(key, str) or not _is_unicode(key)]
            if strange:
                return [Fault(loc, f"the key {shorten(ascii(strange[0]))} is not text", "JSON keys are text")]
            pending.extend(reversed([((*loc, key), entry) for key, entry in value.items()]))
        elif isinstance(value, list):
            pending.extend(reversed([((*loc, index), entry) for index, entry in enumerate(value)]))
        elif isinstance(value, str) and not _is_unicode(value):
            return [Fault(loc, "holds half of a surrogate pair, which is not a character", "write the character itself")]
        elif value is not None and not isinstance(value, str | int | float):
            return [Fault(loc, f"{type(value).__name__} is not a JSON value", "use text, numbers, true, false, null, lists and objects")]
        elif isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
            return [Fault(loc, "must be a finite number", "JSON has no infinity and no NaN")]
    return []


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _no_constant(name: str) -> NoReturn:
    raise _ConstantError(name)


def _repeated_keys(text: str) -> list[Mistake]:
    """Every key that its object already has. `text` is known to be JSON."""
    found = []
    open_objects: list[set[str] | None] = []
    last = None
    for match in _LEXEME.finditer(text):
        lexeme = match[0]
        if lexeme == "{":
            open_objects.append(set())
        elif lexeme == "[":
            open_objects.append(None)
        elif lexeme in "}]":
            open_objects.pop()
        elif lexeme == ":":
            keys = open_objects[-1]
            if last is not None and keys is not None:
                key = json.loads(last[0], strict=False)
                if key in keys:
                    line = text.count("\n", 0, last.start()) + 1
                    column = last.start() - text.rfind("\n", 0, last.start())
                    message = f"the key {shorten(key)} is there twice in one object"
                    found.append(Mistake(f"line {line} column {column}", message, "keep one"))
                keys.add(key)
        last = match if lexeme.startswith('"') else None
    return found
