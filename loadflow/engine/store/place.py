"""Where a store is: a file of SQLite, or a database of PostgreSQL; and how to name it without its password."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from loadflow.errors import CommandError, Mistake

__all__ = ["Place", "place_of"]

FORMS = "give a path as database_path, or a url such as sqlite:///runs.db or postgresql://user:password@host/database"
POSTGRESQL = ("postgresql", "postgres", "postgresql+psycopg")


@dataclass(frozen=True, slots=True)
class Place:
    """`path` is None for PostgreSQL. `str()` shows no password and no query parameters, which may hold one."""

    url: URL
    path: Path | None

    def __str__(self) -> str:
        return str(self.path) if self.path else self.url.set(query={}).render_as_string(hide_password=True)

    def scrubbed(self, text: str) -> str:
        """`text` with whatever the URL keeps secret masked."""
        secrets = [str(self.url.password or ""), *(value for value in self.url.query.values() if isinstance(value, str))]
        for secret in filter(None, secrets):
            text = text.replace(secret, "***")
        return text


def place_of(database_path: str | os.PathLike[str] | None, url: str | None) -> Place:
    """The place that exactly one of the two names. Raises CommandError for both, neither, or a database loadflow does not know.

    >>> str(place_of(None, "postgres://ann:hunter22@db.test/runs"))
    'postgresql+psycopg://ann:***@db.test/runs'
    >>> str(place_of("runs.db", None))
    'runs.db'
    """
    if (database_path is None) == (url is None):
        raise _mistake("database_path", "exactly one of database_path and url says where the store is", FORMS)
    if url is None:
        path = os.fspath(database_path or "")
        if not path or "://" in path or path == ":memory:":
            raise _mistake("database_path", "is not the path of a file", FORMS)
        return Place(URL.create("sqlite", database=path), Path(path))
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # its text would repeat the URL
        raise _mistake("url", "can't be read as a database URL", FORMS) from None
    if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
        if parsed.database in (None, "", ":memory:"):
            raise _mistake("url", "names no file, and what is kept in memory would be gone at once", FORMS)
        return Place(parsed, Path(str(parsed.database)))
    if parsed.drivername in POSTGRESQL:
        return Place(parsed.set(drivername="postgresql+psycopg"), None)
    raise _mistake("url", f"{parsed.drivername} is not a database that loadflow can use", FORMS)


def _mistake(place: str, message: str, hint: str) -> CommandError:
    return CommandError([Mistake(place, message, hint)])
