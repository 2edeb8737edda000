"""The commands that store runs in a database and read them back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from loadflow.engine.session import current_session
from loadflow.errors import CommandError, Mistake

if TYPE_CHECKING:
    from loadflow.engine.store.place import Place

__all__ = ["fetch_run_records", "iter_run_records", "list_runs", "persist_records"]

# The store's modules are imported when they are used: SQLAlchemy takes longer to import than the rest of the engine.


def persist_records(
    database_path: str | None = None, label: str | None = None, metadata: dict[str, Any] | None = None, *, url: str | None = None
) -> int | list[int]:
    """Store every run since the last LD_clear_records; returns the id of the run, or the list of ids when there are several.

    `database_path` is a file of SQLite, made when missing; `url` a database URL (`postgresql://user:password@host/database`).
    All is stored or nothing, and a run that is stored already is not stored again: its id is returned, and a label or
    metadata that is given replaces what was there. `metadata` is a JSON object, kept as it is. Raises CommandError when there is no
    run to store, RunError when the database is locked, full or out of reach; then it can simply be called again.

    >>> persist_records("runs.db", label="nightly", metadata={"commit": "4f2a"})  # doctest: +SKIP
    17
    """
    from loadflow.engine.store.write import persist

    place = _place(database_path, url)
    runs = current_session().runs
    if not runs:
        raise CommandError([Mistake("", "there is no run to store", "LD_start_test comes first, and LD_clear_records after this")])
    ids = persist(place, runs, label=label, metadata=_json_object(metadata))
    return ids[0] if len(ids) == 1 else ids


def list_runs(database_path: str | None = None, limit: int = 20, *, url: str | None = None) -> list[dict[str, Any]]:
    """The runs stored last, newest first: id, started_at, label, metadata_json (JSON text), verdict, counts, percentiles, ….

    `limit` below 0: all. Reads databases of LoadDensity too, which give the first four. Raises CommandError when there is
    no such database; none is made.

    >>> list_runs("runs.db", limit=1)[0]["verdict"]  # doctest: +SKIP
    'passed'
    """
    from loadflow.engine.store.read import stored_runs

    return stored_runs(_place(database_path, url), limit)


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
) -> list[dict[str, Any]]:
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
) -> Iterator[dict[str, Any]]:
    """`fetch_run_records`, one by one and in bounded memory; the database is open until the last one, or `close()`.

    >>> sum(hit["response_length"] for hit in iter_run_records("runs.db", 17))  # doctest: +SKIP
    """
    from loadflow.engine.store.filters import filters_of
    from loadflow.engine.store.read import records

    place = _place(database_path, url)
    if run_id is None:
        raise CommandError([Mistake("run_id", "is missing", "LD_list_runs says which runs there are")])
    return records(place, run_id, filters_of(name, outcome, since, until, limit, offset))


def _place(database_path: str | None, url: str | None) -> Place:
    """The database that was named, or else the session's."""
    from loadflow.engine.store.place import place_of

    named = database_path is not None or url is not None
    return place_of(database_path, url if named else current_session().store_url)


def _json_object(metadata: Any) -> dict[str, Any] | None:
    """Raises CommandError for what is no JSON object, so also for NaN and infinity."""
    if metadata is None:
        return None
    if not isinstance(metadata, dict):
        raise CommandError([Mistake("metadata", f"is a {type(metadata).__name__}", 'give an object, such as {"commit": "4f2a"}')])
    try:
        result: dict[str, Any] = json.loads(json.dumps(metadata, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise CommandError([Mistake("metadata", f"can't be written as JSON ({error})", "use text, numbers, lists and objects")]) from None
    return result
