"""Connections to a store: `writing` creates and migrates it, `reading` never changes it and never makes a file.

SQLite is used in WAL mode, so that reading goes on while a long run is being stored, with foreign keys on, and with
`synchronous` at its fullest: one persist is one commit, so safety costs one fsync.
"""

from __future__ import annotations

import importlib.util
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.pool import NullPool

from loadflow.engine.base.private import FILE_MODE
from loadflow.engine.base.regular_file import refuse_special
from loadflow.engine.store.kind import LEGACY_TABLE, Kind, kind_of
from loadflow.engine.store.place import Place
from loadflow.engine.store.trouble import guarded
from loadflow.errors import CommandError, Mistake, RunError

__all__ = ["reading", "writing"]

BUSY_S = 10.0  # how long to wait for another writer; more is the retries' business
CONNECT_S = 10
PAGE_BYTES = 16_384  # of a new file; a tenth less work than SQLite's 4,096 when a million hits are stored


@contextmanager
def writing(place: Place) -> Iterator[Connection]:
    """One transaction on a store of the newest schema, made or migrated before; committed at the end of the block.

    Raises RunError when the database is locked, full or out of reach: then nothing of the block is stored. CommandError for a
    database of LoadDensity, or one that a newer loadflow made.
    """
    # alembic takes a while to import, and reading does not need it
    from loadflow.engine.store.migrate import migrate

    with guarded(place):
        engine = _writing_engine(place)
        try:
            with engine.begin() as connection:
                migrate(connection, place)
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()


@contextmanager
def reading(place: Place) -> Iterator[Connection]:
    """A connection that can't write, in one transaction: it sees the store as it was at the first query.

    Raises CommandError when there is no such file, or nothing in the database that loadflow can read.
    """
    if place.path is not None and not place.path.is_file():
        raise CommandError([Mistake("", f"there is no database {place}", "LD_persist_records makes one; check the path")])
    with guarded(place):
        engine = _reading_engine(place)
        try:
            with engine.connect() as connection:
                if place.path is None:
                    connection.execute(text("SET TRANSACTION READ ONLY"))
                if kind_of(connection, place) is Kind.NOTHING:
                    raise CommandError([Mistake("", f"{place} holds no stored runs", "LD_persist_records stores them; check the place")])
                yield connection
        finally:
            engine.dispose()


def _writing_engine(place: Place) -> Engine:
    if place.path is None:
        return _postgresql(place)
    path = place.path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"the folder of {place} can't be made ({error.strerror}); check the path and its permissions") from error

    if not path.exists():  # an empty file is an empty database, and SQLite gives its other files this one's mode
        with suppress(OSError):  # which SQLite says better
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE))

    def connect() -> sqlite3.Connection:
        refuse_special(path)
        connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            _wal(connection)
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = FULL")
        except BaseException:
            connection.close()
            raise
        return connection

    # IMMEDIATE: a transaction that starts by reading could not wait for another writer later
    return _sqlite(connect, "BEGIN IMMEDIATE")


def _reading_engine(place: Place) -> Engine:
    if place.path is None:
        return _postgresql(place)
    uri = _read_uri(place.path)

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA query_only = ON")
        return connection

    return _sqlite(connect, "BEGIN")


def _read_uri(path: Path) -> str:
    """Of a database in WAL mode, a reader has to be able to write beside it, and tidies up only when it may write itself.

    Where that is not allowed, and no process is writing (there is no WAL), the file alone is the whole database.
    """
    uri = f"file:{quote(os.fspath(path.absolute()))}"
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        return f"{uri}?mode=rw"
    return f"{uri}?mode=ro" + ("" if Path(f"{path}-wal").exists() else "&immutable=1")


def _wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL; waits like any other statement, which SQLite's own timeout does not do for this one.

    A database of LoadDensity stays as it is.
    """
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (LEGACY_TABLE,)).fetchone():
        return
    until = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.02)


def _sqlite(connect: object, begin: str) -> Engine:
    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _postgresql(place: Place) -> Engine:
    if importlib.util.find_spec("psycopg") is None:
        raise RunError('PostgreSQL needs psycopg, which is not installed; run pip install "loadflow[postgres]"')
    url = place.url.update_query_dict({} if "connect_timeout" in place.url.query else {"connect_timeout": str(CONNECT_S)})
    return create_engine(url, poolclass=NullPool, hide_parameters=True)
