"""Functions to which a function of a scenario gives its client: `login(client)`, `self.login(client)`. Each has a twin that is a coroutine.

Which function a call means is known where its name is bound once in the module and nowhere set anew. Should it be another one after all
when it is called, that is an error: a twin never runs in place of what it is no twin of.
"""

from __future__ import annotations

import ast
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from inspect import getattr_static
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any

__all__ = ["BOXED", "GIVEN", "TWIN", "Due", "Helpers", "Place", "boxed", "given", "keep_twins", "twin_of"]

# what the client calls `twin_of`, `boxed` and `given`
TWIN = "loadflow_twin"
BOXED = "loadflow_boxed"
GIVEN = "loadflow_given"

_twins: dict[FunctionType, tuple[FunctionType, int]] = {}


@dataclass(frozen=True)
class Place:
    """Where a call gives the client away: `part` of it, the argument of this number or name."""

    part: ast.AST
    number: int
    name: str

    @staticmethod
    def of(call: ast.Call, client: str) -> Place | None:
        """None where it does not, or not as one plain argument."""
        found = []
        for number, one in enumerate(call.args):
            if isinstance(one, ast.Starred):
                break
            if isinstance(one, ast.Name) and one.id == client:
                found.append(Place(one, number, ""))
        for named in call.keywords:
            if named.arg is not None and isinstance(named.value, ast.Name) and named.value.id == client:
                found.append(Place(named, 0, named.arg))
        return found[0] if len(found) == 1 else None


@dataclass(frozen=True)
class Due:
    """A helper that needs a twin; `number`: which of its parameters is the client."""

    function: FunctionType
    number: int


class Helpers:
    """Those of one function of `cls`, and theirs. `modules`: those in which a name may be set anew."""

    def __init__(self, cls: type, modules: Sequence[ModuleType]) -> None:
        self._cls = cls
        self._modules = modules
        self._known: dict[FunctionType, int] = {}
        self._due: list[Due] = []

    def next_due(self) -> Due | None:
        return self._due.pop() if self._due else None

    def take(self, call: ast.Call, place: Place, caller: FunctionType) -> bool:
        """Whether it is known which function a call in `caller` means, and that it takes the client as one of its parameters."""
        meant = self._meant(call.func, caller)
        if meant is None:
            return False
        function, bound = meant
        number = _parameter(function, place, bound)
        if number is None:
            return False
        known = self._known.get(function)
        if known is None:
            self._known[function] = number
            self._due.append(Due(function, number))
        return known in (None, number) and _twins.get(function, (None, number))[1] == number

    def _meant(self, called: ast.expr, caller: FunctionType) -> tuple[FunctionType, int] | None:
        """A function, and how many of its arguments are bound already."""
        code = caller.__code__
        match called:
            case ast.Name(id=name) if name not in (*code.co_varnames, *code.co_cellvars, *code.co_freevars):
                found = caller.__globals__.get(name)
                if not isinstance(found, FunctionType) or found.__globals__ is not caller.__globals__:
                    return None
                if _bound_once(str(caller.__globals__.get("__file__")), name) and not self._is_set(name):
                    return found, 0
            case ast.Attribute(value=ast.Name(id=own), attr=name) if own == code.co_varnames[0] and self._is_method(caller):
                found = getattr_static(self._cls, name, None)
                finds: object = self._cls.__getattribute__
                is_plain = finds is object.__getattribute__ and own not in _stored(code.co_filename)
                if isinstance(found, FunctionType) and is_plain and not self._is_set(name):
                    return found, 1
        return None

    def _is_method(self, caller: FunctionType) -> bool:
        return any(one is caller for cls in self._cls.__mro__ for one in vars(cls).values())

    def _is_set(self, name: str) -> bool:
        """Whether something of the files has an attribute of this name set."""
        return any(name in _set(str(module.__file__)) for module in self._modules)


def _parameter(function: FunctionType, place: Place, bound: int) -> int | None:
    """Which of a function's parameters is given the argument."""
    code = function.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    if not place.name:
        number = place.number + bound
        return number if number < code.co_argcount else None
    number = names.index(place.name) if place.name in names else -1
    return number if number >= max(bound, code.co_posonlyargcount) else None


@lru_cache(maxsize=100)
def _tree(file: str) -> ast.Module | None:
    try:
        return ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None


@lru_cache(maxsize=1_000)
def _bound_once(file: str, name: str) -> bool:
    """Whether a name of a module is that of one function at its top, and of nothing else in it."""
    tree = _tree(file)
    if tree is None:
        return False
    at_top = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    found = 0
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=one) | ast.AsyncFunctionDef(name=one) | ast.ClassDef(name=one):
                found += one == name
            case ast.alias(name=one, asname=other):
                found += name in ((other or one).partition(".")[0], "*") or one == "*"
            case ast.Name(id=one, ctx=ast.Store() | ast.Del()) | ast.arg(arg=one):
                found += one == name
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                found += name in names
            case ast.MatchAs(name=one) | ast.MatchStar(name=one) | ast.MatchMapping(rest=one) | ast.ExceptHandler(name=one):
                found += one == name
    return len(at_top) == 1 and found == 1


@lru_cache(maxsize=100)
def _set(file: str) -> frozenset[str]:
    """The names of attributes that a file sets or deletes, also by setattr and delattr with a plain text."""
    tree = _tree(file)
    names: set[str] = set()
    for node in ast.walk(tree) if tree is not None else ():
        match node:
            case ast.Attribute(attr=name, ctx=ast.Store() | ast.Del()):
                names.add(name)
            case ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[_, ast.Constant(value=str(name)), *_]):
                names.add(name)
    return frozenset(names)


@lru_cache(maxsize=100)
def _stored(file: str) -> frozenset[str]:
    """The names that a file gives values to, anywhere in it."""
    tree = _tree(file)
    return frozenset(
        node.id
        for node in (ast.walk(tree) if tree is not None else ())
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
    )


def keep_twins(made: Mapping[Due, FunctionType]) -> None:
    _twins.update({due.function: (twin, due.number) for due, twin in made.items()})


def twin_of(function: Any) -> Callable[..., Coroutine[Any, Any, Any]]:
    """The twin of a function, or of a method, bound as that is. Raises RuntimeError where there is none."""
    found = _twins.get(getattr(function, "__func__", function))
    if found is None:
        name = getattr(function, "__name__", type(function).__name__)
        raise RuntimeError(f"{name} is not what it was when the load began; give the client to functions that stay what they are")
    twin: Any = found[0]
    return MethodType(twin, function.__self__) if isinstance(function, MethodType) else twin


def boxed(function: Any) -> Callable[..., Awaitable[tuple[Any, BaseException | None]]]:
    """The same, for a caller that may catch its errors: what it gives or raises is for `given`."""
    twin = twin_of(function)

    async def run(*arguments: Any, **named: Any) -> tuple[Any, BaseException | None]:
        try:
            return await twin(*arguments, **named), None
        except RuntimeError as error:
            if isinstance(error.__cause__, StopIteration) and error.args == ("coroutine raised StopIteration",):
                return None, error.__cause__
            raise

    return run


def given(box: tuple[Any, BaseException | None]) -> Any:
    value, error = box
    if error is not None:
        raise error
    return value
