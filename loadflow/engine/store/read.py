"""Reads a store: which runs there are, their hits, and their counts as the values that they were before.

A database of LoadDensity gives its runs and records in the same form, with None where it kept nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, literal, select, text

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.records.health import Health
from loadflow.engine.records.histogram import Histogram
from loadflow.engine.records.names import ErrorText, SeriesName
from loadflow.engine.records.outcome import Outcome, flag_words
from loadflow.engine.records.snapshot import SecondRow
from loadflow.engine.records.statuses import status_text
from loadflow.engine.records.totals import ErrorCount, SeriesTotals, Totals
from loadflow.engine.store import legacy
from loadflow.engine.store.connect import reading
from loadflow.engine.store.filters import Filters
from loadflow.engine.store.kind import Kind, kind_of
from loadflow.engine.store.place import Place
from loadflow.engine.store.schema import HIT_COLUMNS, PHASES, TIMINGS_SINCE, VERSION_TABLE, errors, hits, runs, seconds, series
from loadflow.errors import CommandError, Mistake

__all__ = ["records", "stored_runs", "stored_seconds", "stored_summary", "stored_totals"]

ROWS_AT_A_TIME = 5_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TEXTS = ("run_key", "label", "script", "target", "protocol", "engine", "verdict", "reasons")
COUNTS = ("users", "requests", "failures", "retries", "late", "sent_bytes", "received_bytes")
FIGURES = ("duration_s", "planned_s", "rate_per_s", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms")
PLAIN = ("id", *TEXTS, *COUNTS, *FIGURES)
TIMES = ("started_at", "ended_at", "stored_at")


def stored_runs(place: Place, limit: int = 20) -> list[JsonObject]:
    """The runs stored last, newest first; `limit` below 0: all. Times are ISO 8601 in UTC, `metadata_json` is JSON text."""
    with reading(place) as connection:
        if kind_of(connection, place) is Kind.LEGACY:
            return legacy.stored_runs(connection, limit)
        columns = [runs.c[name] for name in (*PLAIN, *TIMES, "metadata")]
        wanted = select(*columns).order_by(runs.c.id.desc())
        found = connection.execute(wanted if limit < 0 else wanted.limit(limit)).mappings()
        return [
            {
                **{name: row[name] for name in PLAIN},
                **{name: row[name].isoformat() for name in TIMES},
                # each retry replaced one attempt, and what was replaced decides nothing
                "failure_rate": row["failures"] / decided if (decided := row["requests"] - row["retries"]) > 0 else 0.0,
                "metadata_json": json.dumps(row["metadata"], ensure_ascii=False),
            }
            for row in found
        ]


def records(place: Place, run_id: int, filters: Filters) -> Iterator[dict[str, object]]:
    """The hits of a run that pass the filters, in the order in which they ended, read as they are asked for.

    Raises CommandError at the first one for a run that is not there. The connection is open until the last.
    """
    with reading(place) as connection:
        if kind_of(connection, place) is Kind.LEGACY:
            yield from legacy.records(connection, place, run_id, filters)
            return
        origin_ns = _run_column(connection, place, run_id, "origin_unix_ns")
        as_record = _Reader(connection, run_id, origin_ns)
        wanted = _wanted(connection, run_id, filters, origin_ns)
        for row in connection.execution_options(yield_per=ROWS_AT_A_TIME).execute(wanted):
            yield as_record(row)


def stored_summary(place: Place, run_id: int) -> JsonObject:
    """`Summary.to_json` of a stored run, with its plan and environment in `runs`."""
    with reading(place) as connection:
        _refuse_legacy(connection, place)
        summary: dict[str, object] = _run_column(connection, place, run_id, "summary")
        return summary


def stored_totals(place: Place, run_id: int) -> Totals:
    """All counts of a stored run, its histograms included: what comparing two runs merges and compares.

    `first_start_ns` and `last_end_ns` are of the stored hits; both None where none are.
    """
    with reading(place) as connection:
        _refuse_legacy(connection, place)
        _run_column(connection, place, run_id, "id")
        names: dict[int, SeriesName] = {}
        totals = Totals()
        for row in connection.execute(select(series).where(series.c.run_id == run_id).order_by(series.c.series)):
            names[row.series] = SeriesName(row.method, row.name)
            totals.series[names[row.series]] = SeriesTotals.from_json(row.totals)
        for row in connection.execute(select(errors).where(errors.c.run_id == run_id).order_by(errors.c.series, errors.c.error)):
            key = (names[row.series], ErrorText(Outcome(row.outcome), row.text))
            totals.errors[key] = ErrorCount(row._mapping["count"], row.first_s, row.last_s)
        return totals


def stored_seconds(place: Place, run_id: int) -> Iterator[SecondRow]:
    """Every second of a stored run, in order."""
    with reading(place) as connection:
        _refuse_legacy(connection, place)
        _run_column(connection, place, run_id, "id")
        wanted = select(seconds).where(seconds.c.run_id == run_id).order_by(seconds.c.second)
        for row in connection.execution_options(yield_per=100).execute(wanted).mappings():
            succeeded, failed = (Histogram.from_json(row["histograms"][name]) for name in ("succeeded", "failed"))
            yield SecondRow(row["second"], succeeded, failed, Health.from_json(dict(row)))


def _run_column(connection: Connection, place: Place, run_id: int, column: str) -> Any:
    row = connection.execute(select(runs.c[column]).where(runs.c.id == run_id)).first()
    if row is None:
        raise CommandError([Mistake("run_id", f"{place} holds no run {run_id}", "LD_list_runs says which there are")])
    return row[0]


def _refuse_legacy(connection: Connection, place: Place) -> None:
    if kind_of(connection, place) is Kind.LEGACY:
        message = f"{place} is a database of LoadDensity, which kept no counts"
        raise CommandError([Mistake("", message, "LD_list_runs and LD_fetch_run_records read what it has")])


def _wanted(connection: Connection, run_id: int, filters: Filters, origin_ns: int) -> Select[Any]:
    # a store that nobody has written to since is read as it is
    revision = str(connection.execute(text(f"SELECT max(version_num) FROM {VERSION_TABLE}")).scalar())
    given: list[Any] = [hits.c[name] for name, _ in HIT_COLUMNS]
    if revision < TIMINGS_SINCE:
        given = [literal(0).label(one.name) if one.server_default is not None else one for one in given]
    wanted = select(*given).where(hits.c.run_id == run_id).order_by(hits.c.run_id, hits.c.n)
    if filters.name is not None:
        of_name = select(series.c.series).where(series.c.run_id == run_id, series.c.name == filters.name)
        wanted = wanted.where(hits.c.series.in_(connection.execute(of_name.order_by(series.c.series)).scalars().all()))
    if filters.outcome is not None:
        ok = int(Outcome.OK)
        kind = filters.kind
        wanted = wanted.where(hits.c.outcome == kind if kind is not None else hits.c.outcome != ok)
    since_ns, until_ns = filters.window_ns(origin_ns)
    if since_ns is not None:
        wanted = wanted.where(hits.c.end_ns >= since_ns)
    if until_ns is not None:
        wanted = wanted.where(hits.c.end_ns < until_ns)
    if filters.passes_all:
        # `n` has no gaps: no need to walk over what is skipped
        wanted = wanted.where(hits.c.n >= filters.offset)
    elif filters.offset:
        wanted = wanted.offset(filters.offset)
    return wanted if filters.limit is None else wanted.limit(filters.limit)


class _Reader:
    """Makes a record of a row, with the run's names looked up once."""

    def __init__(self, connection: Connection, run_id: int, origin_ns: int) -> None:
        self._origin = EPOCH + timedelta(microseconds=origin_ns // 1000)
        self._names = {
            row.series: (row.method, row.test_url, row.name)
            for row in connection.execute(select(series).where(series.c.run_id == run_id).order_by(series.c.series))
        }
        self._texts = {
            row.error: row.text
            for row in connection.execute(select(errors.c.error, errors.c.text).where(errors.c.run_id == run_id).order_by(errors.c.error))
        }
        self._flags = [flag_words(flags) for flags in range(256)]
        self._kinds = {int(outcome): outcome.label for outcome in Outcome}

    def __call__(self, row: Row[Any]) -> dict[str, object]:
        _, _, due_ns, start_ns, end_ns, name, user, error, sent_bytes, received_bytes, status, outcome, flags, first_ns, *phases = tuple(
            row
        )
        method, test_url, own_name = self._names[name]
        return {
            "outcome": "failure" if outcome else "success",
            "method": method,
            "test_url": test_url,
            "name": own_name,
            "status_code": status_text(status) if status or outcome else None,  # 0 is "no answer"; a protocol without statuses has none
            "response_time_ms": (end_ns - due_ns) / 1e6,
            "response_length": received_bytes,
            "error": self._texts.get(error, "(text lost)") if outcome else None,
            "outcome_kind": self._kinds.get(outcome, "(unknown)"),
            "started_at": self._iso(start_ns),
            "ended_at": self._iso(end_ns),
            "due_ms": due_ns / 1e6,
            "service_time_ms": (end_ns - start_ns) / 1e6,
            "sent_bytes": sent_bytes,
            "user": user,
            "flags": self._flags[flags],
            "ttfb_ms": (first_ns - start_ns) / 1e6 if first_ns else None,
            **{f"{phase}_ms": took_us / 1e3 if took_us else None for phase, took_us in zip(PHASES, phases, strict=True)},
        }

    def _iso(self, since_origin_ns: int) -> str:
        return (self._origin + timedelta(microseconds=since_origin_ns // 1000)).isoformat(timespec="microseconds")
