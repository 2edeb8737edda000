"""What a database holds: loadflow's tables, LoadDensity's, or neither."""

from __future__ import annotations

from enum import Enum

from sqlalchemy import Connection, inspect, text

from loadflow.engine.store.place import Place
from loadflow.engine.store.schema import REVISION, VERSION_TABLE
from loadflow.errors import CommandError, Mistake

__all__ = ["LEGACY_TABLE", "Kind", "kind_of"]

LEGACY_TABLE = "load_density_runs"


class Kind(Enum):
    """What a database holds."""

    NOTHING = "nothing of ours"
    RUNS = "loadflow's tables"
    LEGACY = "LoadDensity's tables"


def kind_of(connection: Connection, place: Place) -> Kind:
    """What the database holds. Raises CommandError when a newer loadflow made it."""
    names = inspect(connection)
    if names.has_table(VERSION_TABLE):
        found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE} ORDER BY version_num DESC")).scalar()
        if found is not None and found > REVISION:
            message = f"{place} was made by a newer loadflow (schema {found}; this one knows up to {REVISION})"
            raise CommandError([Mistake("", message, "update this loadflow")])
        if found is not None:
            return Kind.RUNS
    return Kind.LEGACY if names.has_table(LEGACY_TABLE) else Kind.NOTHING
