"""What Python does with plain values, and the little that it may do with symbols: join texts and put them into others."""

from __future__ import annotations

import ast
import builtins
import operator
from collections.abc import Callable
from string import Formatter
from typing import TypeVar

from loadflow.engine.scenario.symbols import Drawn, Found, Joined, Symbol, Untraceable, Value

__all__ = ["COMPARE", "binary", "builtin", "call_builtin", "formatted", "joined", "method", "plainly", "random_int", "sliced", "unary"]

T = TypeVar("T")

BINARY: dict[type[ast.operator], Callable[[Value, Value], Value]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
}
UNARY: dict[type[ast.unaryop], Callable[[Value], Value]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
}
COMPARE: dict[type[ast.cmpop], Callable[[Value, Value], Value]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda one, other: one in other,
    ast.NotIn: lambda one, other: one not in other,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}
# without effects, and the same for the same plain values
PURES = "str int float bool len range list tuple dict sorted min max sum abs round enumerate zip reversed any all"
PURE = tuple(PURES.split())
TEXT_METHODS = """
upper lower strip lstrip rstrip split rsplit replace title capitalize startswith endswith zfill removeprefix removesuffix partition
rpartition count find index isdigit isalpha join format encode splitlines casefold center ljust rjust
"""
METHODS: dict[type, frozenset[str]] = {
    str: frozenset(TEXT_METHODS.split()),
    dict: frozenset(("get", "items", "keys", "values", "copy")),
    list: frozenset(("index", "count", "copy")),
    tuple: frozenset(("index", "count")),
}


def plainly(work: Callable[[], object]) -> Value:
    """The result of a pure operation on plain values. Raises Untraceable where Python would raise each time."""
    try:
        return work()
    except Untraceable:
        raise
    except Exception as error:  # noqa: BLE001  whatever a plain operation raises, it would raise for each hit
        raise Untraceable(f"raises {type(error).__name__} each time: {error}") from None


def as_text(value: object) -> str | Symbol:
    """A text, or a symbol that must be one where it is joined with a text. Raises Untraceable."""
    match value:
        case str() | Joined():
            return value
        case Found(source="json"):
            value.only = "text"
            return value
        case Found(source="header" | "text"):
            return value
        case Drawn(is_text=True):
            return value
        case Symbol():
            raise Untraceable(f"joins a text and {value.what} that may be none")
        case _:
            raise Untraceable(f"joins a text and a {type(value).__name__}")


def joined(parts: list[str | Symbol]) -> str | Joined:
    """The pieces as one text."""
    flat: list[str | Symbol] = []
    for part in parts:
        for one in part.parts if isinstance(part, Joined) else [part]:
            if isinstance(one, str) and flat and isinstance(flat[-1], str):
                flat[-1] += one
            elif not isinstance(one, str) or one:
                flat.append(one)
    if all(isinstance(one, str) for one in flat):
        return "".join(one for one in flat if isinstance(one, str))
    return Joined(flat if isinstance(flat[0], str) else ["", *flat])


def binary(op: ast.operator, left: Value, right: Value) -> object:
    if isinstance(left, Symbol) or isinstance(right, Symbol):
        if not isinstance(op, ast.Add):
            raise Untraceable(f"computes with {(left if isinstance(left, Symbol) else right).what}")
        return joined([as_text(left), as_text(right)])
    work = BINARY.get(type(op))
    if work is None:
        raise Untraceable(f"uses {type(op).__name__}")
    return plainly(lambda: work(left, right))


def unary(op: ast.unaryop, value: object) -> object:
    work = UNARY.get(type(op))
    if work is None:
        raise Untraceable(f"uses {type(op).__name__}")
    if isinstance(value, Symbol):
        raise Untraceable(f"computes with {value.what}")
    return plainly(lambda: work(value))


def sliced(holder: object, *bounds: Value) -> object:
    if isinstance(holder, Symbol):
        raise Untraceable(f"takes a slice of {holder.what}")
    if not isinstance(holder, str | list | tuple):
        raise Untraceable(f"takes a slice of a {type(holder).__name__}")
    return plainly(lambda: holder[slice(*bounds)])


def formatted(value: object, conversion: int, spec: Value) -> str | Symbol:
    """A value in an f-string. `conversion`: -1, or the character behind "!"."""
    if isinstance(value, Symbol):
        if spec != "" or conversion not in (-1, ord("s")):
            raise Untraceable(f"formats {value.what} with more than its plain text")
        if not isinstance(value, Found | Drawn | Joined):
            raise Untraceable(f"writes {value.what} into a text")
        return value
    if isinstance(spec, Symbol):
        raise Untraceable(f"formats with {spec.what}")
    converters: dict[int, Callable[[Value], Value]] = {ord("s"): str, ord("r"): repr, ord("a"): ascii}
    convert = converters.get(conversion, lambda one: one)
    return str(plainly(lambda: format(convert(value), spec)))


def method(holder: Value, name: str, arguments: list[Value], named: dict[str, Value]) -> Value:
    """A method of a plain text, list, tuple or object that changes nothing."""
    if name not in next((names for kind, names in METHODS.items() if isinstance(holder, kind)), ()):
        raise Untraceable(f"calls .{name} of a {type(holder).__name__}")
    if isinstance(holder, str) and name == "format":
        return _format(holder, arguments, named)
    if isinstance(holder, str) and name == "join":
        if len(arguments) != 1 or named or isinstance(arguments[0], Symbol) or not isinstance(arguments[0], list | tuple):
            raise Untraceable("joins what is no plain list")
        pieces = [as_text(one) for one in arguments[0]]
        return joined([part for piece in pieces for part in (holder, piece)][1:])
    if any(isinstance(one, Symbol) for one in (*arguments, *named.values())):
        raise Untraceable(f"calls .{name} with a value that only the load has")
    return plainly(lambda: getattr(holder, name)(*arguments, **named))


def _format(text: str, arguments: list[object], named: dict[str, object]) -> str | Joined:
    parts: list[str | Symbol] = []
    place = 0
    for literal, field, spec, conversion in plainly(lambda: list(Formatter().parse(text))):
        parts.append(literal)
        if field is None:
            continue
        key: object = field
        if field == "":
            key, place = place, place + 1
        elif field.isdigit():
            key = int(field)
        elif not field.isidentifier():
            raise Untraceable(f"formats with {{{field}}}")
        value = plainly(lambda key=key: arguments[key] if isinstance(key, int) else named[key])  # type: ignore[misc]
        parts.append(formatted(value, ord(conversion) if conversion else -1, spec or ""))
    return joined(parts)


def builtin(name: str) -> object:
    if name not in PURE:
        raise Untraceable(f"calls {name}" if hasattr(builtins, name) else f"reads {name}, which is not defined")
    return getattr(builtins, name)


def call_builtin(function: Value, arguments: list[Value], named: dict[str, Value]) -> object:
    if not any(function is getattr(builtins, name) for name in PURE):
        raise Untraceable(f"calls {getattr(function, '__name__', type(function).__name__)}")
    if function is str and len(arguments) == 1 and isinstance(arguments[0], Symbol):
        return joined([formatted(arguments[0], -1, "")])
    if any(isinstance(one, Symbol) for one in named.values()):
        raise Untraceable(f"calls {function.__name__} with a value that only the load has")
    if "key" in named or "default" in named:
        raise Untraceable(f"calls {function.__name__} with a function")
    return plainly(lambda: function(*arguments, **named))


def random_int(arguments: list[object], named: dict[str, object]) -> Drawn:
    given = dict(zip(("low", "high"), arguments, strict=False)) | named
    low, high = given.get("low"), given.get("high")
    if given.keys() != {"low", "high"} or len(arguments) > 2 or not all(type(one) is int for one in (low, high)):
        raise Untraceable("draws a number between what are no plain whole numbers")
    if low > high or max(abs(low), abs(high)) >= 10**18:  # type: ignore[operator,arg-type]
        raise Untraceable(f"draws a number between {low} and {high}")
    return Drawn(f"${{randint({low},{high})}}", once=True, is_text=False)
