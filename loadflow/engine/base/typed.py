"""Dataclasses from JSON that others may have edited: each value must be of its field's type."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from loadflow.engine.base.counted import counted

__all__ = ["typed"]

T = TypeVar("T")


def typed(cls: type[T], data: object, where: str) -> T:
    """`data`, a JSON object, as a `cls`; keys that `cls` doesn't know are left out. Fields may be dataclasses and
    StrEnums themselves; lists become tuples.

    Raises ValueError that names the place below `where`: a value of another type, or one that is missing.
    """
    if not isinstance(data, Mapping):
        raise ValueError(f"{where} is {_kind(data)}, but must be an object")
    hints: dict[str, Any] = _hints(cls)  # type: ignore[arg-type]  # a class is hashable
    given = {}
    for one in fields(cls):  # type: ignore[arg-type]  # every dataclass has fields
        if one.name in data:
            given[one.name] = _value(hints[one.name], data[one.name], f"{where}.{one.name}")
        elif one.default is MISSING and one.default_factory is MISSING:
            raise ValueError(f"{where}.{one.name} is missing")
    return cls(**given)


@lru_cache(maxsize=64)
def _hints(cls: type) -> dict[str, object]:
    return get_type_hints(cls)


def _value(kind: Any, value: Any, where: str) -> Any:
    if kind in (Any, object):
        return value
    origin = get_origin(kind)
    if origin in (types.UnionType, Union):
        return _one_of(get_args(kind), value, where)
    if origin is tuple:
        return _tuple(get_args(kind), value, where)
    if isinstance(kind, type) and is_dataclass(kind):
        return typed(kind, value, where)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        try:
            return kind(value)
        except ValueError:
            raise ValueError(f"{where} must be one of {', '.join(kind)}") from None
    if origin is not None:  # Mapping[str, Any]
        if not isinstance(value, Mapping):
            raise ValueError(f"{where} is {_kind(value)}, but must be an object")
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{where} is {_kind(value)}, but must be {NAMES.get(kind, kind.__name__)}")
    return value


def _one_of(kinds: tuple[object, ...], value: object, where: str) -> object:
    if value is None and type(None) in kinds:
        return None
    (kind,) = (one for one in kinds if one is not type(None))
    return _value(kind, value, where)


def _tuple(kinds: tuple[object, ...], value: object, where: str) -> tuple[object, ...]:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"{where} is {_kind(value)}, but must be a list")
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    if len(kinds) != len(value):
        raise ValueError(f"{where} has {counted(len(value), 'value')}, but must have {len(kinds)}")
    return tuple(_value(kind, one, f"{where}[{index}]") for index, (kind, one) in enumerate(zip(kinds, value, strict=True)))


NAMES = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, (list, tuple)):
        return "a list"
    return NAMES.get(type(value), type(value).__name__)
