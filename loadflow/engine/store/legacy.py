"""Reads databases of LoadDensity (`load_density_runs`, `load_density_records`), and never changes them."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, column, select, table

from loadflow.engine.store.filters import Filters
from loadflow.engine.store.place import Place
from loadflow.errors import CommandError, Mistake

__all__ = ["records", "stored_runs"]

RUNS = table("load_density_runs", *map(column, ("id", "started_at", "label", "metadata_json")))
KEPT = ("outcome", "method", "test_url", "name", "status_code", "response_time_ms", "response_length", "error")
RECORDS = table("load_density_records", *map(column, ("id", "run_id", *KEPT)))
NOT_KEPT = (
    "outcome_kind",
    "started_at",
    "ended_at",
    "due_ms",
    "service_time_ms",
    "sent_bytes",
    "user",
    "flags",
    "ttfb_ms",
    "dns_ms",
    "connect_ms",
    "tls_ms",
    "send_ms",
)


def stored_runs(connection: Connection, limit: int) -> list[dict[str, object]]:
    """Newest first; `started_at` is when LoadDensity stored the run: it did not keep when it began."""
    wanted = select(RUNS).order_by(RUNS.c.id.desc())
    found = connection.execute(wanted if limit < 0 else wanted.limit(limit)).mappings()
    return [dict(row) for row in found]


def records(connection: Connection, place: Place, run_id: int, filters: Filters) -> Iterator[dict[str, object]]:
    """In the order in which they were stored. Raises CommandError for filters on what LoadDensity did not keep."""
    if (filters.since, filters.until) != (None, None):
        raise CommandError([Mistake("since", f"{place} is a database of LoadDensity, which kept no times of hits", "leave it out")])
    if filters.outcome not in (None, "success", "failure"):
        raise CommandError([Mistake("outcome", f"{place} is a database of LoadDensity, which kept no kinds of failure", "use failure")])
    if connection.execute(select(RUNS.c.id).where(RUNS.c.id == run_id)).first() is None:
        raise CommandError([Mistake("run_id", f"{place} holds no run {run_id}", "LD_list_runs says which there are")])
    wanted = select(*(RECORDS.c[name] for name in KEPT)).where(RECORDS.c.run_id == run_id).order_by(RECORDS.c.id)
    if filters.name is not None:
        wanted = wanted.where(RECORDS.c.name == filters.name)
    if filters.outcome is not None:
        wanted = wanted.where(RECORDS.c.outcome == filters.outcome)
    if filters.limit is not None or filters.offset:
        # -1: SQLite has no OFFSET without a LIMIT
        wanted = wanted.limit(-1 if filters.limit is None else filters.limit).offset(filters.offset)
    for row in connection.execution_options(yield_per=5_000).execute(wanted).mappings():
        yield {**row, **dict.fromkeys(NOT_KEPT)}
