"""Python's builtins that a script may call: an allowlist of functions without side effects, safe with any JSON argument.

Iterators come back as lists, so that results are JSON values. What could fill the memory from a short script (a long range, a
high power, a wide format) has a bound. Everything else of `builtins` can't be named: a script never looks a name up in Python.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from loadflow.engine.base.counted import counted
from loadflow.engine.base.visible import visible
from loadflow.engine.script.command import Command
from loadflow.errors import CommandError, Mistake

__all__ = ["BLOCKED", "BUILTINS", "is_blocked"]

Items = list[object] | dict[str, object] | str

# Names that reach files, code or the interpreter; refused by name, so that the author learns that it is on purpose.
# fmt: off
BLOCKED = frozenset(
    {
        "eval", "exec", "compile", "__import__", "breakpoint", "open", "input", "getattr", "setattr", "delattr", "hasattr",
        "globals", "locals", "vars", "dir", "type", "object", "super", "memoryview", "bytearray", "bytes", "classmethod",
        "staticmethod", "property", "exit", "quit", "help", "license", "credits", "copyright", "id", "iter", "next", "aiter",
        "anext", "map", "filter", "slice", "issubclass", "isinstance",
    }
)
# fmt: on

_MOST_ITEMS = 100_000
_MOST_BITS = 3_300  # of a power: 993 digits; no reader of ours takes more than 1,000
_WIDEST = 1_000  # digits or columns


def is_blocked(name: str) -> bool:
    """Whether `name` is out of reach on purpose: a builtin not on the list, or any `__dunder__`, also with its module before it.

    >>> is_blocked("eval"), is_blocked("builtins.eval"), is_blocked("__class__"), is_blocked("len")
    (True, True, True, False)
    """
    last = name.strip().rsplit(".", 1)[-1]
    return last in BLOCKED or last.startswith("__") or name.strip().startswith("__")


def _too_much(message: str, hint: str) -> CommandError:
    return CommandError([Mistake("", message, hint)])


def _print(*values: object, sep: str = " ", end: str = "\n") -> None:
    *shown, sep, end = (visible(str(value), lines=True) for value in (*values, sep, end))
    builtins.print(*shown, sep=sep, end=end)


def _len(value: Items) -> int:
    return len(value)


def _range(start: int, stop: int | None = None, step: int = 1) -> list[int]:
    numbers = builtins.range(start) if stop is None else builtins.range(start, stop, step)
    if numbers[_MOST_ITEMS:]:  # len() itself overflows on a range of 2**63 numbers
        raise _too_much(f"range() would make more than {_MOST_ITEMS:,} numbers", "ask for fewer")
    return list(numbers)


def _sum(items: list[int | float], start: int | float = 0) -> int | float:
    return sum(items, start)


def _sorted(items: Items, reverse: bool = False) -> list[Any]:
    return sorted(items, reverse=reverse)


def _min(*values: Any) -> object:
    return min(*values)


def _max(*values: Any) -> object:
    return max(*values)


def _abs(number: int | float) -> int | float:
    return abs(number)


def _round(number: int | float, digits: int | None = None) -> int | float:
    if digits is not None and abs(digits) > _WIDEST:
        raise _too_much(f"round() can't round to {counted(digits, 'digit')}", f"use -{_WIDEST} to {_WIDEST}")
    return round(number, digits)


def _pow(base: int | float, exponent: int | float, modulus: int | None = None) -> int | float:
    whole = isinstance(base, int) and isinstance(exponent, int)
    bits = max(abs(base).bit_length(), 1) if isinstance(base, int) else 1
    too_long = modulus is None and isinstance(exponent, int) and abs(base) > 1 and bits * exponent > _MOST_BITS
    too_slow = modulus is not None and isinstance(exponent, int) and max(exponent.bit_length(), bits, modulus.bit_length()) > 4096
    if whole and (too_long or too_slow):
        raise _too_much("pow() would make a number that is too long", f"stay below {_MOST_BITS:,} bits")
    power = pow(base, exponent) if modulus is None else builtins.pow(base, exponent, modulus)  # type: ignore[arg-type]
    if isinstance(power, complex):
        raise _too_much("pow() of a negative number to a fraction is not a real number", "use a whole exponent")
    return power


def _str(value: object = "") -> str:
    return str(value)


def _int(value: int | float | str | bool = 0, base: int = 10) -> int:
    return int(value, base) if isinstance(value, str) else int(value)


def _float(value: int | float | str | bool = 0.0) -> float:
    return float(value)


def _bool(value: object = False) -> bool:
    return bool(value)


def _all(items: Items) -> bool:
    return all(items)


def _any(items: Items) -> bool:
    return any(items)


def _ascii(value: object) -> str:
    return ascii(value)


def _bin(number: int) -> str:
    return bin(number)


def _hex(number: int) -> str:
    return hex(number)


def _oct(number: int) -> str:
    return oct(number)


def _chr(code: int) -> str:
    return chr(code)


def _ord(character: str) -> int:
    return ord(character)


def _divmod(dividend: int | float, divisor: int | float) -> list[int | float]:
    return list(divmod(dividend, divisor))


def _format(value: str | int | float | bool | None, spec: str = "") -> str:
    if any(len(digits) > 4 or int(digits) > _WIDEST for digits in re.findall(r"[0-9]+", spec)):
        raise _too_much("format() to that width is out of reach", f"use at most {_WIDEST}")
    return format(value, spec)


def _list(items: Items = "") -> list[object]:
    return list(items)


def _dict(items: dict[str, Any] | list[list[Any]] | None = None) -> dict[Any, Any]:
    return dict(items or {})


def _set(items: Items = "") -> list[object]:
    return list(dict.fromkeys(items))


def _repr(value: object) -> str:
    return repr(value)


def _reversed(items: Items) -> list[object]:
    return list(reversed(list(items)))


def _enumerate(items: Items, start: int = 0) -> list[list[object]]:
    return [[index, item] for index, item in enumerate(items, start)]


def _zip(*rows: object) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=False)]


def _hash(value: str | int | float | bool | None) -> int:
    return hash(value)


def _callable(value: object) -> bool:
    return callable(value)


_TABLE: tuple[tuple[str, Callable[..., object], str], ...] = (
    ("abs", _abs, "The size of a number, without its sign"),
    ("all", _all, "Whether every item is true"),
    ("any", _any, "Whether an item is true"),
    ("ascii", _ascii, "A value as Python writes it, in ASCII"),
    ("bin", _bin, "A whole number in base 2"),
    ("bool", _bool, "Whether a value is true"),
    ("callable", _callable, "Whether a value can be called; no JSON value can"),
    ("chr", _chr, "The character of a code point"),
    ("dict", _dict, "An object made of pairs"),
    ("divmod", _divmod, "Quotient and remainder"),
    ("enumerate", _enumerate, "Pairs of index and item"),
    ("float", _float, "A value as a number"),
    ("format", _format, "A value as text, formatted by a spec"),
    ("hash", _hash, "A hash of a value, good within this process only"),
    ("hex", _hex, "A whole number in base 16"),
    ("int", _int, "A value as a whole number"),
    ("len", _len, "How many items there are"),
    ("list", _list, "The items as a list"),
    ("max", _max, "The greatest of the values"),
    ("min", _min, "The least of the values"),
    ("oct", _oct, "A whole number in base 8"),
    ("ord", _ord, "The code point of a character"),
    ("pow", _pow, "A number to a power"),
    ("print", _print, "Print the values on one line"),
    ("range", _range, "The whole numbers from start up to stop"),
    ("repr", _repr, "A value as Python writes it"),
    ("reversed", _reversed, "The items from last to first"),
    ("round", _round, "A number with fewer digits"),
    ("set", _set, "The items without repetitions, in order"),
    ("sorted", _sorted, "The items in ascending order"),
    ("str", _str, "A value as text"),
    ("sum", _sum, "The sum of the numbers"),
    ("tuple", _list, "The items as a list"),
    ("zip", _zip, "Lists of the first items, the second items, and so on"),
)

BUILTINS: Mapping[str, Command] = MappingProxyType({name: Command(name, function, summary) for name, function, summary in _TABLE})
