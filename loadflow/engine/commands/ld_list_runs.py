"""LD_list_runs: list the runs that were stored last, newest first."""

from __future__ import annotations

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.commands.stored_place import stored_place
from loadflow.engine.script.command import STORE, Command
from loadflow.engine.session.session import current_session

__all__ = ["COMMAND", "list_runs"]


def list_runs(database_path: str | None = None, limit: int = 20, *, url: str | None = None) -> list[JsonObject]:
    """The runs stored last, newest first: id, started_at, label, metadata_json (JSON text), verdict, counts, percentiles, ….

    `limit` below 0: all. Reads databases of LoadDensity too, which give the first four. Raises CommandError when there is
    no such database; none is made.

    >>> list_runs("runs.db", limit=1)[0]["verdict"]  # doctest: +SKIP
    'passed'
    """
    place = stored_place(database_path, url)
    if current_session().rehearsing:
        return []
    from loadflow.engine.store.read import stored_runs

    return stored_runs(place, limit)


COMMAND = Command(
    "LD_list_runs",
    list_runs,
    "List the runs that were stored last, newest first.",
    STORE,
    dry=True,
    group="store",
    returns="list of objects",
    example={"database_path": "runs.db", "limit": 5},
)
