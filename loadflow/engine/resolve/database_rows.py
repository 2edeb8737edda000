"""Rows of a database: one query, made before the load, whose answer is a file of rows for that load alone.

The file is CSV, in a folder that only its owner may read. Engines and agents read it as they read every other file of rows; they know
neither the database nor its URL.
"""

from __future__ import annotations

import csv
import math
import os
import sqlite3
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import quote

from loadflow.engine.base.private import FILE_MODE
from loadflow.engine.base.redact import MASK
from loadflow.engine.base.values import text_of
from loadflow.engine.plan.csv_source import CsvSource, Query
from loadflow.engine.resolve.data import table_of
from loadflow.errors import CommandError, Mistake

if TYPE_CHECKING:  # SQLAlchemy takes longer to import than a check takes
    from sqlalchemy import URL, Connection, Engine

__all__ = ["fetch", "rows_kept"]

CONNECT_S = 10
AT_ONCE = 1_000  # rows
FORMS = "write it as SQLAlchemy does, such as postgresql://user:password@host/database or sqlite:///data/users.db"
POSTGRESQL = ("postgresql", "postgres", "postgresql+psycopg")
SQLITE = ("sqlite", "sqlite+pysqlite")

_Folders = list["tempfile.TemporaryDirectory[str]"]
_beyond: _Folders = []  # those that end with the process
_kept: ContextVar[_Folders | None] = ContextVar("rows of databases", default=None)


@contextmanager
def rows_kept() -> Iterator[None]:
    """What is fetched inside of the block is gone at its end; else it is at the end of the process."""
    folders: _Folders = []
    before = _kept.set(folders)
    try:
        yield
    finally:
        _kept.reset(before)
        for folder in folders:
            folder.cleanup()


def fetch(source: CsvSource, asked: Query, hidden: Collection[str] = ()) -> tuple[CsvSource, tuple[str, ...]]:
    """The source with a file that holds the rows of a query now, and its columns.

    `hidden` are values that no message may hold; what the URL keeps secret is none of them, and is not shown either. Raises CommandError
    where the database can't be reached, the query fails, or its answer makes no table.
    """
    database = _Database(source.name, asked.url, hidden)
    folder = tempfile.TemporaryDirectory(prefix="loadflow-rows-", ignore_cleanup_errors=True)
    kept = _kept.get()
    (_beyond if kept is None else kept).append(folder)
    path = Path(folder.name) / "rows.csv"
    path.touch(FILE_MODE)
    told = replace(source, file_path=f"the answer of {database}", database=None, fetched_from=str(database))
    try:
        with path.open("w", encoding="utf-8", newline="") as file, database.answer(asked.query) as (names, rows):
            columns, _ = table_of(told, _lines(names, rows), lambda _: _Written(file, names))
    except OSError as error:
        raise database.refused(f"its rows can't be kept in {folder.name}: {error.strerror or error}", "check the disk") from None
    return replace(told, file_path=str(path)), columns


def _lines(names: list[str], rows: Iterator[list[str]]) -> Iterator[tuple[int | None, list[str]]]:
    yield None, names
    yield from ((None, row) for row in rows)


class _Written:
    """A store of rows that is a file."""

    def __init__(self, file: IO[str], names: list[str]) -> None:
        self._writer = csv.writer(file)
        self._writer.writerow(names)
        self._count = 0

    def add(self, cells: list[str], /) -> None:
        self._writer.writerow(cells)
        self._count += 1

    def __len__(self) -> int:
        return self._count


class _Database:
    """One that a source names. `str()` shows no password and no query parameters, which may hold one."""

    def __init__(self, source: str, url: str, hidden: Collection[str]) -> None:
        from sqlalchemy import make_url
        from sqlalchemy.exc import ArgumentError

        self._source = source
        try:
            parsed = make_url(url)
        except (ArgumentError, ValueError):  # its text would repeat the URL
            raise CommandError([Mistake(f"csv source {source!r}", "its database url can't be read", FORMS)]) from None
        self.url: URL = parsed.set(drivername="postgresql+psycopg") if parsed.drivername in POSTGRESQL else parsed
        of_url = [str(parsed.password or ""), *(value for value in parsed.query.values() if isinstance(value, str))]
        self._hidden = sorted(filter(None, {*of_url, *hidden}), key=len, reverse=True)

    def __str__(self) -> str:
        return self.url.set(query={}).render_as_string(hide_password=True)

    def refused(self, text: str, hint: str) -> CommandError:
        for secret in self._hidden:
            text = text.replace(secret, MASK)
        return CommandError([Mistake(f"csv source {self._source!r}: {self}", text, hint)])

    @contextmanager
    def answer(self, query: str) -> Iterator[tuple[list[str], Iterator[list[str]]]]:
        """Column names and cells. Whatever the query does, nothing of it is committed. Raises CommandError."""
        from sqlalchemy.exc import DBAPIError, SQLAlchemyError

        engine = self._engine()
        try:
            with self._connected(engine) as connection:
                if self.url.get_backend_name() == "postgresql":
                    connection.exec_driver_sql("SET TRANSACTION READ ONLY")
                reading = connection.execution_options(no_parameters=True, stream_results=True)
                result = reading.exec_driver_sql(query)
                if not result.returns_rows:
                    raise self.refused("its query gives no rows at all", "write one that reads, such as SELECT name FROM users")
                names = list(map(str, result.keys()))
                yield names, self._cells(names, result.yield_per(AT_ONCE))
        except (SQLAlchemyError, sqlite3.Warning) as error:  # the latter of several statements
            said = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
            raise self.refused(f"its query failed: {_first_line(said)}", "correct the query, or what it asks for") from None
        finally:
            engine.dispose()

    @contextmanager
    def _connected(self, engine: Engine) -> Iterator[Connection]:
        from sqlalchemy.exc import DBAPIError, SQLAlchemyError

        try:
            connection = engine.connect()
        except SQLAlchemyError as error:
            said = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
            way = "check that it runs, the URL, the user and the password"
            raise self.refused(f"can't be connected to: {_first_line(said)}", way) from None
        with connection:
            yield connection

    def _engine(self) -> Engine:
        from sqlalchemy import create_engine
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError
        from sqlalchemy.pool import NullPool

        if self.url.drivername in SQLITE:
            return create_engine("sqlite://", creator=self._sqlite, poolclass=NullPool, hide_parameters=True)
        url = self.url
        if url.drivername == "postgresql+psycopg" and "connect_timeout" not in url.query:
            url = url.update_query_dict({"connect_timeout": str(CONNECT_S)})
        try:
            return create_engine(url, poolclass=NullPool, hide_parameters=True)
        except (NoSuchModuleError, ImportError) as error:
            way = 'run pip install "loadflow[postgres]"' if url.get_backend_name() == "postgresql" else "install it beside loadflow"
            raise self.refused(f"needs a driver that is not installed ({_first_line(error)})", way) from None
        except (ArgumentError, TypeError, ValueError) as error:
            raise self.refused(f"its url can't be used: {_first_line(error)}", FORMS) from None

    def _sqlite(self) -> sqlite3.Connection:
        """A database that is there; without these, one that is not would be made."""
        path = Path(self.url.database or "")
        if not path.is_file():
            raise self.refused("there is no such file", f"give a path that exists, absolute or relative to {Path.cwd()}")
        connection = sqlite3.connect(f"file:{quote(os.fspath(path.absolute()))}?mode=rw", uri=True, timeout=CONNECT_S)
        connection.execute("PRAGMA query_only = ON")
        return connection

    def _cells(self, names: Sequence[str], rows: Iterator[Sequence[object]]) -> Iterator[list[str]]:
        for number, row in enumerate(rows, start=1):
            cells = []
            for name, value in zip(names, row, strict=True):
                try:
                    cells.append(text_of(_as_json(value)))
                except ValueError as error:
                    place = f"row {number:,}, column {name[:60]!r}"
                    raise self.refused(f"{place}: {error}", "cast it to text in the query") from None
            yield cells


def _as_json(value: object) -> object:
    """A value of a database as one of JSON. Raises ValueError for bytes and for numbers that JSON has not."""
    match value:
        case None | bool() | str() | int():
            return value
        case float():
            if not math.isfinite(value):
                raise ValueError(f"{value} is not a number that JSON has")
            return value
        case Decimal():
            if not value.is_finite():
                raise ValueError(f"{value} is not a number that JSON has")
            return f"{value:f}"  # all of its digits
        case datetime() | date() | time():
            return value.isoformat()
        case bytes() | bytearray() | memoryview():
            raise ValueError("holds bytes")
        case Mapping():
            return {str(key): _as_json(one) for key, one in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_as_json(one) for one in value]
        case _:
            return str(value)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
