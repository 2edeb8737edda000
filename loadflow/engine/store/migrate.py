"""Brings a store to the newest schema with Alembic, under a lock: two writers that start together migrate once."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from loadflow.engine.store.kind import Kind, kind_of
from loadflow.engine.store.place import Place
from loadflow.engine.store.schema import REVISION, VERSION_TABLE
from loadflow.errors import CommandError, Mistake

__all__ = ["migrate", "newest_revision"]

SCRIPTS = Path(__file__).parent / "migrations"
LOCK = 0x6C6F6164666C6F77  # "loadflow": PostgreSQL's advisory locks are known by a number


def migrate(connection: Connection, place: Place) -> None:
    """Migrate in the connection's transaction; nothing is done where the schema is the newest.

    SQLite's lock is the transaction itself, begun IMMEDIATE. Raises CommandError as `kind_of` does, and for a database of
    LoadDensity, which is read but never changed.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
    kind = kind_of(connection, place)
    if kind is Kind.LEGACY:
        message = f"{place} is a database of LoadDensity, which is read but never changed"
        raise CommandError([Mistake("", message, "store into a new file; LD_list_runs and LD_fetch_run_records read both")])
    if kind is Kind.RUNS and connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar() == REVISION:
        return
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def newest_revision() -> str | None:
    """The last revision that the migration scripts lead to."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
