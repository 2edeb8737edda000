"""What stands for a value while a scenario is read: parts of answers, rows, draws, and texts made of them.

Nothing can be done with a symbol but what the reader knows: every operation of Python's on it raises `Untraceable`, so that none is carried
out once, while the scenario is read, that belongs to each hit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, NoReturn, TypeAlias

from loadflow.engine.base.json_value import JsonObject

__all__ = [
    "Answer",
    "Condition",
    "Drawn",
    "Found",
    "Headers",
    "Joined",
    "Pending",
    "Source",
    "Symbol",
    "TracedStep",
    "Untraceable",
    "Value",
    "holds_symbol",
    "placeholder_of",
    "steps_json",
    "text_of_part",
]

Value: TypeAlias = Any  # of an expression of the author's function, while it is read: Python's own, or a `Symbol`
Source = Literal["json", "text", "header", "status", "elapsed"]


class Untraceable(Exception):
    """Why a function can't be said in steps, and the line of its file. `line` 0: not known yet."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


class Symbol:
    """A value that is known only while the load runs."""

    what = "a value that only the load has"

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise Untraceable(f"computes with {self.what}")


# what Python asks of an object by itself
_ASKED = """
__bool__ __len__ __iter__ __contains__ __getitem__ __setitem__ __call__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__
__hash__ __str__ __format__ __int__ __float__ __index__ __add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__
__rtruediv__ __floordiv__ __rfloordiv__ __mod__ __rmod__ __pow__ __rpow__ __and__ __rand__ __or__ __ror__ __xor__
__rxor__ __neg__ __pos__ __abs__ __invert__ __enter__ __exit__ __await__ __next__ __reversed__ __round__ __bytes__
__reduce_ex__ __copy__ __deepcopy__ __repr__
"""

for _name in _ASKED.split():
    setattr(Symbol, _name, Symbol._refuse)


class TracedStep:
    """One request of a function as a step, and what the function wants of its answer."""

    def __init__(self, config: JsonObject, line: int) -> None:
        self.config = config
        self.line = line
        self.found: list[Found] = []
        self.assertions: list[JsonObject] = []
        self.stops = False  # any failure ends the pass, also a status of 400 or more alone
        self.think: float | dict[str, float] | None = None
        self.beside: list[TracedStep] = []  # those of its batch, itself included

    def part(self, source: Source, path: tuple[str | int, ...] = ()) -> Found:
        """One object for each part of the answer."""
        for one in self.found:
            if one.source == source and one.path == path and [type(part) for part in one.path] == [type(part) for part in path]:
                return one
        self.found.append(Found(self, source, path))
        return self.found[-1]

    def to_json(self) -> JsonObject:
        """As a step of the script language; what was read of the answer must be there."""
        extracts = [one.extract() for one in self.found if one.is_kept]
        return {
            **self.config,
            **({"assertions": self.assertions} if self.assertions else {}),
            **({"extract": extracts} if extracts else {}),
            **({"think_time": self.think} if self.think is not None else {}),
            "on_failure": "stop" if self.stops else "stop_if_lacking",
        }


def steps_json(steps: list[TracedStep]) -> list[dict[str, object]]:
    """As a list of the script language, those that are sent at once in batches."""
    found: list[dict[str, object]] = []
    for step in steps:
        if not step.beside:
            found.append(step.to_json())
        elif step is step.beside[-1]:
            plain = [one.to_json() for one in step.beside]
            think = plain[-1].pop("think_time", None)
            found.append({"batch": plain, **({"think_time": think} if think is not None else {})})
    return found


class Answer(Symbol):
    """A whole answer."""

    what = "an answer"

    def __init__(self, step: TracedStep) -> None:
        self.step = step


class Headers(Symbol):
    what = "the headers of an answer"

    def __init__(self, step: TracedStep) -> None:
        self.step = step


class Found(Symbol):
    """A part of an answer: a place in its JSON, its text, a header, its status, its time."""

    what = "a value of an answer"

    def __init__(self, step: TracedStep, source: Source, path: tuple[str | int, ...]) -> None:
        self.step = step
        self.source = source
        self.path = path
        self.name_of: Callable[[str], str] | None = None
        self._var = ""
        self.only: str | None = None
        self.is_used = False  # as a value
        self.is_read = False  # and so must be there
        self.is_asserted = False

    @property
    def var(self) -> str:
        """A name of its own, once it needs one."""
        if not self._var and self.name_of is not None:
            last = next((part for part in reversed(self.path) if isinstance(part, str)), self.source)
            self._var = self.name_of(str(last))
        return self._var

    @property
    def is_kept(self) -> bool:
        if self.is_used:
            return True
        if not self.is_read or self.source not in ("json", "header") or self.is_asserted:
            return False
        longer = (one for one in self.step.found if one is not self and one.source == self.source and one.is_read)
        return not any(one.path[: len(self.path)] == self.path for one in longer)

    def extract(self) -> dict[str, object]:
        from loadflow.engine.base.json_path import path_text

        taken: dict[str, object]
        match self.source:
            case "json":
                taken = {"path": path_text(self.path)}
            case "header":
                taken = {"from": "header", "name": self.path[0]}
            case "status":
                taken = {"from": "status_code"}
            case _:
                taken = {"from": "body"}
        return {"var": self.var, **taken, "scope": "session", **({"only": self.only} if self.only else {})}


class Drawn(Symbol):
    """A placeholder of the script language. `once`: each use would draw anew, so there may be one only. `is_text`: its value is a text."""

    what = "a value that is drawn for each user or hit"

    def __init__(self, placeholder: str, *, once: bool, is_text: bool) -> None:
        self.placeholder = placeholder
        self.once = once
        self.is_text = is_text
        self.is_used = False


class Joined(Symbol):
    """A text of pieces, some of which are symbols."""

    what = "a text with values that only the load has"

    def __init__(self, parts: list[str | Symbol]) -> None:
        self.parts = parts


class Condition(Symbol):
    """A comparison, which only an assert can use. `entry`: what holds where it is true, for `step`; `stops`: a good status is enough."""

    what = "a comparison of a value that only the load has"

    def __init__(self, step: TracedStep, entry: JsonObject | None, part: Found | None, *, stops: bool = False) -> None:
        self.step = step
        self.entry = entry
        self.part = part
        self.stops = stops


class Pending(Symbol):
    """What an `async def` has asked for and not awaited yet."""

    what = "a call that is not awaited"

    def __init__(self, begin: Callable[[], Value], line: int) -> None:
        self.begin = begin
        self.line = line
        self.is_awaited = False


def holds_symbol(value: object) -> bool:
    return any(isinstance(one, Symbol) for one in _leaves(value))


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield key
            yield from _leaves(one)
    elif isinstance(value, list | tuple | set | frozenset):
        for one in value:
            yield from _leaves(one)
    else:
        yield value


def placeholder_of(value: Symbol, only: str | None = None) -> str:
    """What stands for it in a step. `only`: which values it may have here, as an extract says it."""
    if isinstance(value, Found):
        if value.source == "elapsed":
            raise Untraceable("uses the time of an answer as a value")
        value.is_used = True
        if only is not None and value.source == "json" and value.only != "text":
            value.only = only
        return f"${{session.{value.var}}}"
    if isinstance(value, Drawn):
        if value.once and value.is_used:
            raise Untraceable("uses a drawn value twice, and each use would draw anew")
        value.is_used = True
        if only == "text" and not value.is_text:
            raise Untraceable("joins a text and a value that may be none")
        return value.placeholder
    if isinstance(value, Joined):
        return "".join(text_of_part(part) for part in value.parts)
    raise Untraceable(f"sends {value.what}")


def text_of_part(part: str | Symbol) -> str:
    """A piece of a text in a step; Python's braces after a dollar sign would be a placeholder there."""
    if isinstance(part, Symbol):
        return placeholder_of(part, "scalar")
    if "${" in part:
        raise Untraceable("holds the characters ${, which begin a placeholder in steps")
    return part
