"""Values that differ from user to user or from hit to hit: rows of a CSV file, random and made-up values, pauses.

While a scenario is read (`reading`), they stand for placeholders of the script language; in a user that runs in Python they have values,
which the user's `Drawing` gives. Outside of both they raise RuntimeError.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

__all__ = ["Drawing", "Fake", "Rand", "Rows", "Turn", "csv", "drawing", "fake", "now", "rand", "sleep", "turn", "uuid"]

Mode = Literal["cycle", "once", "random"]


class Drawing(Protocol):
    """Where one user's values come from."""

    def cell(self, rows: Rows, column: str) -> str: ...
    def between(self, low: int, high: int) -> int: ...
    def made_up(self, method: str) -> object: ...
    def uuid(self) -> str: ...
    def now(self) -> str: ...
    def sleep(self, seconds: float, most: float) -> None: ...


_drawing: ContextVar[Drawing] = ContextVar("drawing")


@contextmanager
def drawing(source: Drawing) -> Iterator[None]:
    """What follows is the work of the user whose values `source` gives."""
    token = _drawing.set(source)
    try:
        yield
    finally:
        _drawing.reset(token)


class Turn:
    """Whose turn it is, where one thread runs all users by turns: the native core says it before each."""

    __slots__ = ("drawing",)
    drawing: Drawing | None


turn = Turn()
turn.drawing = None


def _now_drawing() -> Drawing:
    found = turn.drawing
    if found is not None:
        return found
    try:
        return _drawing.get()
    except LookupError:
        raise RuntimeError("there is no user now; use values of users in on_start, tasks and on_stop only") from None


@dataclass(frozen=True)
class Rows:
    """A CSV file with a header, of which each user keeps one row: `users.name` or `users["first name"]` is the cell of his row, a text."""

    path: str
    mode: Mode = "cycle"
    seed: int | None = None
    delimiter: str = ","

    def __getattr__(self, column: str) -> str:
        if column.startswith("__"):
            raise AttributeError(column)
        return self[column]

    def __getitem__(self, column: str) -> str:
        return _now_drawing().cell(self, column)


def csv(path: str | Path, *, mode: Mode = "cycle", seed: int | None = None, delimiter: str = ",") -> Rows:
    """Rows of a file for users, one each: from the first again at the end ("cycle"), each to one user only ("once"), or at random.

    `path` is relative to the working directory of loadflow. Raises ValueError.
    """
    if mode not in ("cycle", "once", "random"):
        raise ValueError(f"mode {mode!r} is not known; there are 'cycle', 'once' and 'random'")
    return Rows(str(path), mode, seed, delimiter)


class Rand:
    """Random numbers of a user, which follow the seed of the test."""

    def int(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return _now_drawing().between(low, high)


class Fake:
    """Made-up values by Faker's methods without arguments: `fake.name()`."""

    def __getattr__(self, method: str) -> object:
        if method.startswith("_"):
            raise AttributeError(method)
        return lambda: _now_drawing().made_up(method)


rand = Rand()
fake = Fake()


def uuid() -> str:
    """A random UUID."""
    return _now_drawing().uuid()


def now() -> str:
    """Local time to the second with its UTC offset."""
    return _now_drawing().now()


def sleep(seconds: float, most: float | None = None) -> None:
    """A pause of the user, or one drawn evenly between `seconds` and `most`: his think time, in no time of a hit."""
    _now_drawing().sleep(seconds, seconds if most is None else most)
