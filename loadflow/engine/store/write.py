"""Stores runs: all of a call in one transaction, each run once, however often it is asked for.

A run is known by its own id (`RunFacts.id`). One that is stored already keeps its row, its id and its hits; a label or
metadata given with the second call replaces the old one. Two writers that store the same run at the same time get the same id.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Insert, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from loadflow.engine.records.fold import fold_rows
from loadflow.engine.records.health import Health
from loadflow.engine.records.histogram import Histogram
from loadflow.engine.records.hitlog import read_header
from loadflow.engine.records.ids import Ids
from loadflow.engine.records.names import printable
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import SecondRow
from loadflow.engine.records.summary import NS_PER_MS, Latency
from loadflow.engine.records.totals import SeriesTotals, Totals
from loadflow.engine.resolve.request_urls import RequestUrls
from loadflow.engine.store import schema
from loadflow.engine.store.connect import writing
from loadflow.engine.store.hits import ordered_hits, store_hits
from loadflow.engine.store.place import Place

__all__ = ["persist"]

ROWS_PER_INSERT = 500
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def persist(place: Place, runs: Sequence[Run], *, label: str | None = None, metadata: Mapping[str, object] | None = None) -> list[int]:
    """Store the runs, all or none, and return their ids in the order given.

    `label` None: each run's own. `metadata` is stored as it is, so keep secrets out of it. Raises as `writing` does.
    """
    for run in runs:
        run.totals()  # kept by the run; counting a long log anew is nothing to hold a lock for
    with writing(place) as connection:
        return [_persist_one(connection, run, label, metadata) for run in runs]


def _persist_one(connection: Connection, run: Run, label: str | None, metadata: Mapping[str, object] | None) -> int:
    runs = schema.runs
    known = select(runs.c.id).where(runs.c.run_key == run.facts.id)
    run_id = connection.execute(known).scalar()
    if run_id is None:
        # a second writer waits here for the first one's end, and then finds its row
        row = _run_row(run, label, metadata)
        run_id = connection.execute(_insert_new(connection).values(row).returning(runs.c.id)).scalar()
        if run_id is not None:
            _store_parts(connection, int(run_id), run)
            return int(run_id)
        run_id = connection.execute(known).scalar_one()
    changes = {"label": _text(label) if label is not None else None, "metadata": metadata}
    changes = {name: value for name, value in changes.items() if value is not None}
    if changes:
        connection.execute(update(runs).where(runs.c.id == run_id).values(changes))
    return int(run_id)


def _insert_new(connection: Connection) -> Any:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(schema.runs).on_conflict_do_nothing(index_elements=["run_key"])


def _run_row(run: Run, label: str | None, metadata: Mapping[str, object] | None) -> dict[str, object]:
    facts, totals, end, summary = run.facts, run.totals(), run.end(), run.summary()
    origin_ns = _origin_unix_ns(run)
    lasted_s = max(end.ran_s, (totals.last_end_ns or 0) / 1e9)
    texts = {name: _text(getattr(facts, name)) for name in ("script", "folder", "target", "protocol", "engine")}
    overall = summary.overall
    return {
        "run_key": facts.id,
        "format": schema.FORMAT,
        "label": _text(facts.label if label is None else label),
        **texts,
        "verdict": str(summary.verdict.kind),
        "reasons": list(summary.verdict.reasons),
        "started_at": _at(round(facts.started_unix_s * 1e9)),
        "ended_at": _at(origin_ns + round(lasted_s * 1e9)),
        "stored_at": datetime.now(UTC),
        "origin_unix_ns": origin_ns,
        "duration_s": summary.duration_s,
        "planned_s": facts.planned_s,
        "users": facts.users,
        "requests": overall.count,
        "failures": overall.failures,
        "retries": overall.retries,
        "late": overall.late,
        "sent_bytes": overall.sent_bytes,
        "received_bytes": overall.received_bytes,
        "stored_hits": 0,
        "rate_per_s": overall.rate_per_s,
        **_milliseconds(overall.latency),
        "plan": dict(facts.plan),
        "environment": dict(facts.environment),
        "metadata": dict(metadata or {}),
        "summary": summary.to_json(),
    }


def _store_parts(connection: Connection, run_id: int, run: Run) -> None:
    """Everything below the run's own row. The hits first: they may use names that the totals do not have."""
    totals = run.totals()
    ids = Ids(totals.series, [error for _, error in totals.errors])
    stored = store_hits(connection, run_id, ordered_hits(run, ids))
    connection.execute(update(schema.runs).where(schema.runs.c.id == run_id).values(stored_hits=stored))
    _insert_all(connection, insert(schema.series), _series_rows(run, run_id, totals, ids))
    _insert_all(connection, insert(schema.errors), _error_rows(run_id, totals, ids))
    kept = _insert_all(connection, insert(schema.seconds), (_second_row(run_id, one) for one in _merged(run.seconds())))
    if kept < totals.hits and stored == totals.all_hits:
        # cut off: the last seconds were never kept, but their hits are in the log
        connection.execute(schema.seconds.delete().where(schema.seconds.c.run_id == run_id))
        _insert_all(connection, insert(schema.seconds), (_second_row(run_id, one) for one in _merged(_logged_seconds(run, ids))))


def _insert_all(connection: Connection, statement: Insert, rows: Iterable[dict[str, Any]]) -> int:
    """Insert in batches; returns the sum of the rows' `hits`, where they have such a column."""
    rows, hits = iter(rows), 0
    while batch := list(islice(rows, ROWS_PER_INSERT)):
        connection.execute(statement, batch)
        hits += sum(row.get("hits", 0) for row in batch)
    return hits


def _series_rows(run: Run, run_id: int, totals: Totals, ids: Ids) -> Iterator[dict[str, object]]:
    urls = RequestUrls(run.facts.plan)
    duration_s = totals.duration_s
    for name, number in ids.series.items():
        one = totals.series.get(name, SeriesTotals())
        yield {
            "run_id": run_id,
            "series": number,
            "method": _text(name.method),
            "name": _text(name.name),
            "test_url": _text(urls.url(name)),
            "requests": one.hits,
            "failures": one.final_failures,
            "rate_per_s": one.hits / duration_s if duration_s > 0 else 0.0,
            **_milliseconds(Latency.of(one.response())),
            "totals": one.to_json(),
        }


def _error_rows(run_id: int, totals: Totals, ids: Ids) -> Iterator[dict[str, object]]:
    for (name, error), count in totals.errors.items():
        yield {
            "run_id": run_id,
            "series": ids.series[name],
            "error": ids.errors[error],
            "outcome": int(error.outcome),
            "kind": error.outcome.label,
            "text": _text(error.text),
            **asdict(count),
        }


def _second_row(run_id: int, one: SecondRow) -> dict[str, object]:
    both = Histogram.merged((one.succeeded, one.failed))
    return {
        "run_id": run_id,
        "second": one.second,
        "hits": both.count,
        "failures": one.failed.count,
        **{name: value for name, value in asdict(one.health).items() if name in schema.seconds.c},
        **{f"p{q}_ms": both.quantile_ns(q / 100) / NS_PER_MS for q in (50, 95, 99)},
        "histograms": {"succeeded": one.succeeded.to_json(), "failed": one.failed.to_json()},
    }


def _merged(rows: Iterable[SecondRow]) -> Iterator[SecondRow]:
    """Each second once, where neighbours are parts of the same one; of their health, the last part's."""
    last: SecondRow | None = None
    for row in rows:
        if last is None:
            last = row
        elif row.second == last.second:
            succeeded, failed = (Histogram.merged(pair) for pair in ((last.succeeded, row.succeeded), (last.failed, row.failed)))
            last = SecondRow(row.second, succeeded, failed, row.health)
        else:
            yield last
            last = row
    if last is not None:
        yield last


def _logged_seconds(run: Run, ids: Ids) -> Iterator[SecondRow]:
    health = {row.second: row.health for row in run.seconds()}
    table = ids.table
    for rows in ordered_hits(run, ids):
        for second, totals in sorted(fold_rows(rows, table).items()):
            overall = totals.overall()
            yield SecondRow(second, overall.succeeded, overall.failed, health.get(second, Health()))


def _origin_unix_ns(run: Run) -> int:
    """When the load began, by the hit log; without one, when the run was made."""
    path = run.hits_path(0)
    if path.exists() and path.stat().st_size:
        return read_header(path).origin_unix_ns
    return round(run.facts.started_unix_s * 1e9)


def _at(unix_ns: int) -> datetime:
    return EPOCH + timedelta(microseconds=unix_ns // 1000)


def _milliseconds(latency: Latency) -> dict[str, float]:
    return {name: getattr(latency, name) for name in ("mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms")}


def _text(text: str) -> str:
    """PostgreSQL's text holds neither NUL nor lone surrogates; the same is stored everywhere."""
    return printable(text).replace("\0", "\N{REPLACEMENT CHARACTER}")
