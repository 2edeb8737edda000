"""From the database libraries' errors to ours: the one boundary at which they are mapped."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from loadflow.engine.store.place import Place
from loadflow.errors import CommandError, LoadflowError, Mistake, RunError

__all__ = ["guarded"]

# result codes: https://www.sqlite.org/rescode.html; the low byte is the primary one
SQLITE = {
    sqlite3.SQLITE_BUSY: ("is locked by another process", "try again when that one is done"),
    sqlite3.SQLITE_LOCKED: ("is locked by another process", "try again when that one is done"),
    sqlite3.SQLITE_READONLY: ("can't be written", "check the permissions of the file and of its folder"),
    sqlite3.SQLITE_IOERR: ("can't be read or written", "check the disk"),
    sqlite3.SQLITE_CORRUPT: ("is damaged", "restore it from a backup, or store into a new file"),
    sqlite3.SQLITE_FULL: ("can't grow, because the disk is full", "nothing was stored; free some space and persist again"),
    sqlite3.SQLITE_CANTOPEN: ("can't be opened", "check the permissions of the file and of its folder"),
}
# classes of SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html
POSTGRESQL = {
    "28": ("refused the login", "check user and password in the URL"),
    "3D": ("does not exist", "create the database first"),
    "42": ("does not let this user do that", "grant the user the right to create and write tables there"),
    "53": ("is out of a resource", "free it on the server (disk, memory, connections) and persist again"),
    "40": ("ended the transaction in favour of another one", "nothing was stored; persist again"),
    "55": ("is locked", "try again when the other session is done"),
    "57": ("was shut down, or the query was cancelled", "nothing was stored; persist again when the server is back"),
}
LOST = ("can't be reached, or the connection was lost", "check that the server runs; nothing is half-written, so persist again")


@contextmanager
def guarded(place: Place) -> Iterator[None]:
    """Raise RunError (CommandError where another file must be given) in place of the libraries' errors.

    Their own text is in the message, scrubbed; the error itself is not chained, because it may hold a password or a whole row.
    """
    try:
        yield
    except _library_errors() as error:
        raise _mapped(place, error.orig if isinstance(error, DBAPIError) and error.orig is not None else error) from None


def _library_errors() -> tuple[type[BaseException], ...]:
    """psycopg is optional: an error of its can only come up once it was imported."""
    psycopg = sys.modules.get("psycopg")
    return (SQLAlchemyError, sqlite3.Error, *((psycopg.Error,) if psycopg else ()))


def _mapped(place: Place, error: BaseException) -> LoadflowError:
    said = place.scrubbed((str(error).strip().splitlines() or [type(error).__name__])[0])
    if isinstance(error, sqlite3.Error):
        # 0: raised by the Python module itself
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_NOTADB:
            return CommandError([Mistake("", f"{place} is not an SQLite database", "give another path")])
        what, advice = SQLITE.get(code, ("failed", "persist again; if it goes on, check the file with `PRAGMA integrity_check`"))
    else:
        state = getattr(error, "sqlstate", None) or ""
        what, advice = POSTGRESQL.get(state[:2], LOST if not state else ("failed", "see the server's log"))
        if state[:2] == "08":
            what, advice = LOST
    return RunError(f"the store {place} {what} ({said}); {advice}")
