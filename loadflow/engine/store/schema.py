"""The tables of the store of runs, as the newest migration leaves them.

loadflow_runs     one row per run: facts, verdict, totals, and plan, environment, metadata, summary as JSON
loadflow_series   one row per name of a run: its numbers, and its histograms in a form that merges (`PackedJson`)
loadflow_errors   one row per kind of failure and name
loadflow_seconds  one row per second: counts, percentiles, the generator's health, histograms
loadflow_hits     one row per hit, `n` = 0, 1, 2, … in the order the hits ended
loadflow_requests a view for people: hits with their names, seconds and milliseconds

Every name has a prefix, because a database may have other tenants: Prefect's own tables, with Alembic's `alembic_version`.

Hits are rows and not compressed chunks, so that anyone can ask with SQL. That is fast enough because the key (run_id, n) is the
only index, SQLite keeps the rows inside it (WITHOUT ROWID) and is given 55 rows a statement, and PostgreSQL gets them by binary
COPY, packed with numpy; measured in benchmarks/store.py. On PostgreSQL the hits have no foreign key: checking it
row by row made COPY nearly four times slower. There a trigger on loadflow_runs removes the hits of a run that is deleted.
"""

from __future__ import annotations

import json
import zlib
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.types import TypeEngine

__all__ = [
    "FORMAT",
    "HIT_COLUMNS",
    "PHASES",
    "REVISION",
    "TIMINGS_SINCE",
    "VERSION_TABLE",
    "PackedJson",
    "UtcTime",
    "errors",
    "hits",
    "runs",
    "seconds",
    "series",
    "tables",
]

REVISION = "0002"  # of the newest migration; revisions are ordered as text, so that a newer one is known as such
VERSION_TABLE = "loadflow_version"
FORMAT = 1  # of what stands inside the JSON columns and the packed ones


class UtcTime(TypeDecorator[datetime]):
    """An aware datetime. SQLite keeps text of fixed width, `2026-11-21T04:28:00.000000+00:00`: it sorts, and date functions read it."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(String(32) if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> object:
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.isoformat(timespec="microseconds") if dialect.name == "sqlite" else utc

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(UTC)


class PackedJson(TypeDecorator[object]):
    """JSON without blanks, compressed with zlib: for histograms, which only programs read."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: object, dialect: Dialect) -> bytes | None:
        return None if value is None else zlib.compress(json.dumps(value, separators=(",", ":")).encode(), 1)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> object:
        return None if value is None else json.loads(zlib.decompress(value))


tables = MetaData()


def _of_run() -> Column[int]:
    return Column("run_id", Integer, ForeignKey("loadflow_runs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False)


runs = Table(
    "loadflow_runs",
    tables,
    Column("id", Integer, primary_key=True),
    Column("run_key", Text, nullable=False),  # the run's own id, the name of its folder: what makes persisting idempotent
    Column("format", Integer, nullable=False),
    Column("label", Text, nullable=False),
    Column("script", Text, nullable=False),
    Column("folder", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("protocol", Text, nullable=False),
    Column("engine", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("reasons", JSON, nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime, nullable=False),
    Column("stored_at", UtcTime, nullable=False),
    Column("origin_unix_ns", BigInteger, nullable=False),  # when the load began: what the times of hits count from
    Column("duration_s", Float, nullable=False),
    Column("planned_s", Float),
    Column("users", Integer, nullable=False),
    Column("requests", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False),
    Column("retries", BigInteger, nullable=False),
    Column("late", BigInteger, nullable=False),
    Column("sent_bytes", BigInteger, nullable=False),
    Column("received_bytes", BigInteger, nullable=False),
    Column("stored_hits", BigInteger, nullable=False),  # fewer than requests only where the hit log was gone or torn
    Column("rate_per_s", Float, nullable=False),
    Column("mean_ms", Float, nullable=False),
    Column("p50_ms", Float, nullable=False),
    Column("p95_ms", Float, nullable=False),
    Column("p99_ms", Float, nullable=False),
    Column("max_ms", Float, nullable=False),
    Column("plan", JSON, nullable=False),
    Column("environment", JSON, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("summary", JSON, nullable=False),
    UniqueConstraint("run_key", name="loadflow_runs_run_key"),
    sqlite_autoincrement=True,  # the id of a deleted run is never given to another one
)

series = Table(
    "loadflow_series",
    tables,
    _of_run(),
    Column("series", Integer, primary_key=True, autoincrement=False),
    Column("method", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("test_url", Text, nullable=False),  # as the plan has it; the name where it gives none or several
    Column("requests", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False),
    Column("rate_per_s", Float, nullable=False),
    Column("mean_ms", Float, nullable=False),
    Column("p50_ms", Float, nullable=False),
    Column("p95_ms", Float, nullable=False),
    Column("p99_ms", Float, nullable=False),
    Column("max_ms", Float, nullable=False),
    Column("totals", PackedJson, nullable=False),  # SeriesTotals.to_json
)

errors = Table(
    "loadflow_errors",
    tables,
    _of_run(),
    Column("series", Integer, primary_key=True, autoincrement=False),
    Column("error", Integer, primary_key=True, autoincrement=False),  # from 1; the same text has the same number in all series
    Column("outcome", SmallInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("first_s", Float, nullable=False),
    Column("last_s", Float, nullable=False),
)

seconds = Table(
    "loadflow_seconds",
    tables,
    _of_run(),
    Column("second", Integer, primary_key=True, autoincrement=False),
    Column("hits", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False),
    Column("users", Integer, nullable=False),
    Column("in_flight", Integer, nullable=False),
    Column("cpu", Float, nullable=False),
    Column("lag_ms", Float, nullable=False),
    Column("rss_bytes", BigInteger, nullable=False),
    Column("open_files", Integer, nullable=False),
    Column("p50_ms", Float, nullable=False),
    Column("p95_ms", Float, nullable=False),
    Column("p99_ms", Float, nullable=False),
    Column("histograms", PackedJson, nullable=False),  # {"succeeded": …, "failed": …}, each Histogram.to_json
)

PHASES = ("dns", "connect", "tls", "send")  # of a hit, in microseconds

# Name, PostgreSQL's type as numpy packs it. Times are nanoseconds since the run's origin.
HIT_COLUMNS = (
    ("run_id", ">i4"),
    ("n", ">i8"),
    ("due_ns", ">i8"),
    ("start_ns", ">i8"),
    ("end_ns", ">i8"),
    ("series", ">i4"),
    ("virtual_user", ">i8"),
    ("error", ">i4"),
    ("sent_bytes", ">i8"),
    ("received_bytes", ">i8"),
    ("status", ">i4"),
    ("outcome", ">i2"),
    ("flags", ">i2"),
    ("first_byte_ns", ">i8"),  # 0: no byte came, or it is not known
    *((f"{name}_us", ">i4") for name in PHASES),  # 0: there was none, or it is not known
)
TIMINGS_SINCE = "0002"  # the revision since which hits have them
_SQL_TYPES = {">i2": SmallInteger, ">i4": Integer, ">i8": BigInteger}

hits = Table(
    "loadflow_hits",
    tables,
    *(
        Column(
            name,
            _SQL_TYPES[kind],
            primary_key=name in ("run_id", "n"),
            autoincrement=False,
            nullable=False,
            server_default="0" if name in ("first_byte_ns", *(f"{phase}_us" for phase in PHASES)) else None,
        )
        for name, kind in HIT_COLUMNS
    ),
    sqlite_with_rowid=False,
)
