"""Values that differ from user to user or from hit to hit: rows of a file or a database, random and made-up values, pauses.

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

__all__ = ["Drawing", "Fake", "Rand", "Rows", "Source", "Turn", "csv", "drawing", "fake", "now", "rand", "rows", "sleep", "turn", "uuid"]

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


@dataclass(frozen=True, slots=True)
class Source:
    """What `csv` or `rows` was told: `path` of a file, or `database` and `query`, which are "" for a file."""

    path: str = ""
    database: str = ""
    query: str = ""
    mode: Mode = "cycle"
    seed: int | None = None
    delimiter: str = ","
    quote: str = '"'
    encoding: str = "utf-8"

    def __str__(self) -> str:
        """As it is called in Python; of a database its query alone, as a URL may hold a password."""
        return f"rows(query={self.query!r})" if self.database else f"csv({self.path!r})"


class Rows:
    """A table of which each user keeps one row: `users.name` or `users["first name"]` is the cell of his row, a text.

    Columns may have any name, so all that is no column has one that no column can have here.
    """

    __slots__ = ("__source__",)

    def __init__(self, source: Source) -> None:
        self.__source__ = source

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rows) and self.__source__ == other.__source__

    def __hash__(self) -> int:
        return hash(self.__source__)

    def __repr__(self) -> str:
        return str(self.__source__)

    def __getattr__(self, column: str) -> str:
        if column.startswith("__"):
            raise AttributeError(column)
        return self[column]

    def __getitem__(self, column: str) -> str:
        return _now_drawing().cell(self, column)


def csv(
    path: str | Path, *, mode: Mode = "cycle", seed: int | None = None, delimiter: str = ",", quote: str = '"', encoding: str = "utf-8"
) -> Rows:
    """Rows of a file for users, one each: from the first again at the end ("cycle"), each to one user only ("once"), or at random.

    The file is CSV with a header, or JSON objects (`.jsonl`, `.json`); `path` is relative to the working directory of loadflow.
    `quote` stands around cells, or nothing where it is "". Raises ValueError.
    """
    return Rows(Source(str(path), mode=_mode(mode), seed=seed, delimiter=delimiter, quote=quote, encoding=encoding))


def rows(*, database: str, query: str, mode: Mode = "cycle", seed: int | None = None) -> Rows:
    """The same of a database's answer to a query, which is asked once, before the load. `database` is a URL as SQLAlchemy writes it, by
    a secret where it holds a password.

    >>> users = rows(database="${secret.users_db}", query="SELECT login, password FROM users WHERE is_test")
    """
    for name, value in (("database", database), ("query", query)):
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f'{name} must be a text; write rows(database="${{secret.NAME}}", query="SELECT …")')
    return Rows(Source(database=database, query=query, mode=_mode(mode), seed=seed))


def _mode(mode: Mode) -> Mode:
    if mode not in ("cycle", "once", "random"):
        raise ValueError(f"mode {mode!r} is not known; there are 'cycle', 'once' and 'random'")
    return mode


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
