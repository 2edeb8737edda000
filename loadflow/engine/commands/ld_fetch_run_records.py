"""LD_fetch_run_records: return the hits of a stored run, with filters and pages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.commands.stored_place import stored_place
from loadflow.engine.script.command import STORE, Command
from loadflow.engine.session.session import current_session
from loadflow.errors import CommandError, Mistake

__all__ = ["COMMAND", "fetch_run_records", "iter_run_records"]


def fetch_run_records(
    database_path: str | None = None,
    run_id: int | None = None,
    name: str | None = None,
    outcome: str | None = None,
    since: str | float | datetime | None = None,
    until: str | float | datetime | None = None,
    limit: int | None = None,
    offset: int = 0,
    *,
    url: str | None = None,
) -> list[JsonObject]:
    """The hits of a stored run, in the order in which they ended, as a list; for more than fits in memory, page by `limit`
    and `offset` or use `iter_run_records`.

    `outcome`: success, failure, or one kind of failure (timeout, status, …). `since` and `until` (not included) are about a
    hit's end: ISO 8601 text, UTC where it names no zone, or seconds since the load began. Times in the records are ISO 8601 in
    UTC; `response_time_ms` counts from when a hit was due, `status_code` is text as LoadDensity has it, "0" without an
    answer; the other keys are those of the CSV report. Raises CommandError for a run that is not there.

    >>> [hit["error"] for hit in fetch_run_records("runs.db", 17, outcome="timeout", limit=10)]  # doctest: +SKIP
    """
    return list(iter_run_records(database_path, run_id, name, outcome, since, until, limit, offset, url=url))


def iter_run_records(
    database_path: str | None = None,
    run_id: int | None = None,
    name: str | None = None,
    outcome: str | None = None,
    since: str | float | datetime | None = None,
    until: str | float | datetime | None = None,
    limit: int | None = None,
    offset: int = 0,
    *,
    url: str | None = None,
) -> Iterator[JsonObject]:
    """`fetch_run_records`, one by one and in bounded memory; the database is open until the last one, or `close()`.

    >>> sum(hit["response_length"] for hit in iter_run_records("runs.db", 17))  # doctest: +SKIP
    """
    from loadflow.engine.store.filters import filters_of
    from loadflow.engine.store.read import records

    place = stored_place(database_path, url)
    if run_id is None:
        raise CommandError([Mistake("run_id", "is missing", "LD_list_runs says which runs there are")])
    filters = filters_of(name, outcome, since, until, limit, offset)
    return iter(()) if current_session().rehearsing else records(place, run_id, filters)


COMMAND = Command(
    "LD_fetch_run_records",
    fetch_run_records,
    "Return the hits of a stored run, with filters and pages.",
    STORE,
    dry=True,
    group="store",
    returns="list of objects",
    example={"database_path": "runs.db", "run_id": 1, "outcome": "failure", "limit": 100},
)
