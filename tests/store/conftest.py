"""Both kinds of database: an empty one for each test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadflow.engine.store.place import Place, place_of
from tests.services import PostgreSQL

NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    server = PostgreSQL()
    yield server
    server.close()


def new_database(server: PostgreSQL) -> str:
    """Its URL."""
    import psycopg

    name = f"store_{next(NUMBERS)}"
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.url(name)


@pytest.fixture
def postgresql_url(postgresql: PostgreSQL) -> str:
    return new_database(postgresql)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return place_of(str(tmp_path / "runs.db"), None)
    return place_of(None, request.getfixturevalue("postgresql_url"))
