"""A scenario as steps of the script language: each hook and task read, or the reason why Python has to run it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.scenario.code import Module
from loadflow.engine.scenario.definition import ScenarioDef, VUser, check_of
from loadflow.engine.scenario.reading import Reader, User
from loadflow.engine.scenario.sources import Names, source_json
from loadflow.engine.scenario.symbols import TracedStep, Untraceable, steps_json

__all__ = ["Refusal", "Trace", "trace"]

# with these a class decides itself what its attributes are, or does something before on_start
OWN = ("__init__", "__new__", "__getattr__", "__getattribute__", "__setattr__", "__init_subclass__", "__call__")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a function is no list of steps. `line` of its file; 0: not known."""

    reason: str
    line: int = 0

    def __str__(self) -> str:
        return f"line {self.line} {self.reason}" if self.line else f"it {self.reason}"


@dataclass
class Trace:
    """`steps` of each hook and task that can be said in steps, `refused` why the others can't, and the CSV sources that they use."""

    steps: dict[str, list[JsonObject]] = field(default_factory=dict)
    refused: dict[str, Refusal] = field(default_factory=dict)
    sources: list[dict[str, object]] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        return not self.refused


def trace(made: ScenarioDef) -> Trace:
    """Reads the functions of a scenario; none of them is called."""
    found = Trace()
    names = [
        *(one for one in made.hooks if one == "on_start"),
        *(one.name for one in made.tasks),
        *(one for one in made.hooks if one == "on_stop"),
    ]
    try:
        modules = _modules(made.cls)
        _refuse_own(made.cls)
    except Untraceable as error:
        found.refused = {name: Refusal(error.reason, error.line) for name in names}
        return found
    engines = {one.name: one.engine for one in made.tasks}
    user = User(made.cls, {})
    known = Names()
    read: dict[str, list[TracedStep]] = {}
    for name in names:
        reader = Reader(modules, user, "request" if name in made.hooks else name, known.rows, known.variable, may_set=name == "on_start")
        try:
            if engines.get(name) == "locust":
                raise Untraceable('is marked with engine="locust"')
            reader.read(_function(made.cls, name))
            if name not in made.hooks:
                _check(reader, made.cls, name)
            read[name] = reader.steps
        except Untraceable as error:
            found.refused[name] = Refusal(error.reason, error.line or _line_of(made.cls, name))
            if name == "on_start":
                user.values = _Unknown()
    # what a task wants of a value that on_start keeps is known only now
    found.steps = {name: steps_json(steps) for name, steps in read.items()}
    found.sources = [source_json(name, rows) for name, rows in known.sources.items()]
    return found


def _check(reader: Reader, cls: type, name: str) -> None:
    if not reader.steps:
        raise Untraceable("makes no request")
    check = check_of(cls, name)
    if check is not None:
        reader.check(_function(cls, f"check_{name}"))


def _function(cls: type, name: str) -> FunctionType:
    for base in cls.__mro__:
        if name in vars(base):
            found = vars(base)[name]
            if not isinstance(found, FunctionType):
                raise Untraceable(f"is a {type(found).__name__}")
            return found
    raise Untraceable("is not there")


def _line_of(cls: type, name: str) -> int:
    code = getattr(getattr(cls, name, None), "__code__", None)
    return code.co_firstlineno if code is not None else 0


def _modules(cls: type) -> dict[str, Module]:
    """The files of the class and its bases."""
    files = {}
    for base in _own_bases(cls):
        file = getattr(sys.modules.get(base.__module__), "__file__", None)
        if file is None:
            raise Untraceable(f"belongs to {base.__name__}, which has no source file")
        for path in {file, str(Path(file))}:
            files[path] = Module(path)
    return files


def _own_bases(cls: type) -> Iterator[type]:
    return (base for base in cls.__mro__ if base not in (object, VUser))


def _refuse_own(cls: type) -> None:
    if type(cls) is not type:
        raise Untraceable(f"belongs to a class with the metaclass {type(cls).__name__}")
    for base in _own_bases(cls):
        for name in OWN:
            if name in vars(base):
                raise Untraceable(f"belongs to a class with {name}")
        if "__slots__" in vars(base):
            raise Untraceable("belongs to a class with __slots__")


class _Unknown(dict[str, object]):
    """The attributes of a user whose on_start runs in Python."""

    def __contains__(self, name: object) -> bool:
        raise Untraceable(f"reads self.{name}, and on_start runs in Python")
