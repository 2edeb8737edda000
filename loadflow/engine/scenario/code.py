"""The source of a scenario: its functions as syntax trees that are known to be what runs, and which of its names are constants."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum, EnumType
from functools import cached_property
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from loadflow.engine.base.counted import a
from loadflow.engine.scenario.client import VERBS
from loadflow.engine.scenario.symbols import Untraceable

__all__ = ["FunctionNode", "Module", "fields_of", "is_constant", "plain_function"]

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef

# names with which a module may change itself in ways that its source does not show
TRICKS = frozenset(
    {"globals", "locals", "vars", "exec", "eval", "compile", "setattr", "delattr", "__dict__", "__builtins__", "modules", "gc"}
)
PLAIN = (str, int, float, bool, bytes, type(None))


def is_constant(value: object) -> bool:
    """Whether nothing can change it."""
    if isinstance(value, Enum):
        return is_constant(value.value)
    if isinstance(value, EnumType):
        return all(map(is_constant, value))
    if isinstance(value, tuple | frozenset):
        return all(map(is_constant, value))
    return type(value) in PLAIN or (bool(names := fields_of(value)) and all(is_constant(getattr(value, name)) for name in names))


def fields_of(value: object) -> tuple[str, ...]:
    """The names of what a named tuple or a frozen dataclass holds; () for all else."""
    if isinstance(value, tuple):
        return tuple(getattr(value, "_fields", ()))
    if not is_dataclass(value) or isinstance(value, type) or not type(value).__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return ()
    return tuple(one.name for one in fields(value))


class Module:
    """One source file. Raises Untraceable where it can't be read."""

    def __init__(self, file: str) -> None:
        self.file = file
        try:
            self._source = Path(file).read_text(encoding="utf-8")
            self._tree = ast.parse(self._source, file)
        except (OSError, SyntaxError, UnicodeDecodeError) as error:
            raise Untraceable(f"has no source that can be read ({error})") from None

    @cached_property
    def trick(self) -> tuple[int, str] | None:
        """Where the module may change itself unseen, and with what; None where it does not."""
        for node in ast.walk(self._tree):
            name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
            if name in TRICKS:
                return node.lineno, f"uses {name}, with which values can change unseen"  # type: ignore[attr-defined]
            changes = isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del)
            if changes and not (isinstance(node.value, ast.Name) and node.value.id == "self"):  # type: ignore[attr-defined]
                return node.lineno, f"changes an attribute: {ast.unparse(node)}"  # type: ignore[attr-defined]
        return None

    def function(self, function: FunctionType) -> FunctionNode:
        """The tree of a function of this file. Raises Untraceable where the source is not what runs."""
        code = function.__code__
        for node in ast.walk(self._tree):
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)]) if isinstance(node, FunctionNode) else 0
            if isinstance(node, FunctionNode) and node.name == code.co_name and first == code.co_firstlineno:
                if not any(_alike(code, one) for one in self._codes if one.co_firstlineno == first and one.co_name == code.co_name):
                    raise Untraceable("is not what its source says", node.lineno)
                return node
        raise Untraceable("is not in its source", code.co_firstlineno)

    @cached_property
    def _codes(self) -> list[CodeType]:
        return list(_nested(compile(self._source, self.file, "exec", dont_inherit=True)))

    def refuse_unless_constant(self, name: str, value: object) -> None:
        """A name of the module that a function reads: it must be bound once, to what can't change, or to what nothing changes."""
        bound = list(self.bindings(name))
        if len(bound) != 1:
            raise Untraceable(f"reads {name}, which is bound {'nowhere' if not bound else f'{len(bound)} times'} in its module")
        if is_constant(value):
            return
        if isinstance(value, list | dict) and _is_plain(value):
            if (line := self._changed(name)) is None:
                return
            raise Untraceable(f"reads {name}, which line {line} may change")
        raise Untraceable(f"reads {name}, {a(type(value).__name__)} outside of it")

    def bindings(self, name: str) -> Iterator[int]:
        """Lines that bind a name of the module, or may do so from within a function."""
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Global | ast.Nonlocal) and name in node.names:
                yield from (node.lineno, node.lineno)  # any number of times
            elif isinstance(node, ast.alias) and (node.asname or node.name.split(".")[0]) == name:
                yield node.lineno
        inner = {
            id(one) for top in ast.walk(self._tree) if isinstance(top, FunctionNode | ast.Lambda | ast.ClassDef) for one in _below(top)
        }
        for node in ast.walk(self._tree):
            if id(node) in inner:
                continue
            is_set = isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load)
            if is_set or (isinstance(node, FunctionNode | ast.ClassDef) and node.name == name):
                yield node.lineno  # type: ignore[attr-defined]

    def _changed(self, name: str) -> int | None:
        """The first line that does more with a list or an object than read it."""
        parents = {id(child): parent for parent in ast.walk(self._tree) for child in ast.iter_child_nodes(parent)}
        for node in ast.walk(self._tree):
            if not (isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)):
                continue
            parent = parents[id(node)]
            reads = (
                (
                    isinstance(parent, ast.Subscript)
                    and parent.value is node
                    and isinstance(parent.ctx, ast.Load)
                    and _is_scalar_read(parents, parent)
                )
                or (isinstance(parent, ast.For | ast.comprehension) and parent.iter is node)
                or (isinstance(parent, ast.keyword) and (parent.arg is None or _is_request(parents[id(parent)])))
                or (
                    isinstance(parent, ast.Call)
                    and isinstance(parent.func, ast.Name)
                    and parent.func.id in ("len", "sorted", "sum", "min", "max")
                )
                or (
                    isinstance(parent, ast.Dict)
                    and any(key is None and one is node for key, one in zip(parent.keys, parent.values, strict=True))
                )
            )
            if not reads:
                return node.lineno
        return None


def _is_request(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in VERBS


def _is_scalar_read(parents: dict[int, ast.AST], node: ast.Subscript) -> bool:
    """Whether what is taken out of a container is not taken apart or changed where it stands."""
    parent = parents[id(node)]
    return not (isinstance(parent, ast.Attribute | ast.Subscript) and parent.value is node)


def _is_plain(value: Any) -> bool:
    """One level of scalars: what is deeper could be changed through another name."""
    entries = [*value.keys(), *value.values()] if isinstance(value, dict) else value
    return all(map(is_constant, entries))


def _below(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        yield child
        yield from _below(child)


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _nested(const)


def _alike(one: CodeType, other: CodeType) -> bool:
    """The same instructions on the same names and constants."""
    mine, theirs = ([const for const in code.co_consts if not isinstance(const, CodeType)] for code in (one, other))
    return (one.co_code, one.co_names, one.co_varnames, one.co_freevars, repr(mine)) == (
        other.co_code,
        other.co_names,
        other.co_varnames,
        other.co_freevars,
        repr(theirs),
    )


def plain_function(value: object) -> FunctionType:
    """The function behind a method that nothing wraps. Raises Untraceable."""
    if not isinstance(value, FunctionType) or hasattr(value, "__wrapped__"):
        raise Untraceable(f"calls {getattr(value, '__name__', type(value).__name__)}, which is no plain function")
    if value.__code__.co_freevars:
        raise Untraceable(f"{value.__name__} uses names of the function around it: {', '.join(value.__code__.co_freevars)}")
    if inspect.isgeneratorfunction(value) or inspect.isasyncgenfunction(value):
        raise Untraceable(f"{value.__name__} is a generator")
    return value
