"""Runs, series, errors, seconds, hits, and the view for people."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from loadflow.engine.store.schema import PackedJson, UtcTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

VIEW = """
CREATE VIEW loadflow_requests AS
SELECT h.run_id, h.n, h.start_ns / 1e9 AS started_s, h.end_ns / 1e9 AS ended_s, s.method, s.name,
       CASE h.outcome WHEN 0 THEN 'success' ELSE 'failure' END AS outcome,
       h.status AS status_code, (h.end_ns - h.due_ns) / 1e6 AS response_time_ms, h.received_bytes AS response_length,
       COALESCE(e.kind, 'ok') AS outcome_kind, e.text AS error, h.virtual_user
FROM loadflow_hits h
LEFT JOIN loadflow_series s ON s.run_id = h.run_id AND s.series = h.series
LEFT JOIN loadflow_errors e ON e.run_id = h.run_id AND e.series = h.series AND e.error = h.error
"""

# in place of a foreign key with ON DELETE CASCADE, which would be checked for each hit
REMOVE_HITS = (
    """
CREATE FUNCTION loadflow_remove_hits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN DELETE FROM loadflow_hits WHERE run_id = OLD.id; RETURN OLD; END $$
""",
    "CREATE TRIGGER loadflow_remove_hits AFTER DELETE ON loadflow_runs FOR EACH ROW EXECUTE FUNCTION loadflow_remove_hits()",
)


def upgrade() -> None:
    op.create_table(
        "loadflow_runs",
        sa.Column("id", sa.Integer, primary_key=True),
        *_texts("run_key"),
        sa.Column("format", sa.Integer, nullable=False),
        *_texts("label", "script", "folder", "target", "protocol", "engine", "verdict"),
        sa.Column("reasons", sa.JSON, nullable=False),
        *(sa.Column(name, UtcTime, nullable=False) for name in ("started_at", "ended_at", "stored_at")),
        sa.Column("origin_unix_ns", sa.BigInteger, nullable=False),
        sa.Column("duration_s", sa.Float, nullable=False),
        sa.Column("planned_s", sa.Float),
        sa.Column("users", sa.Integer, nullable=False),
        *_counts("requests", "failures", "retries", "late", "sent_bytes", "received_bytes", "stored_hits"),
        *_floats("rate_per_s", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms"),
        *(sa.Column(name, sa.JSON, nullable=False) for name in ("plan", "environment", "metadata", "summary")),
        sa.UniqueConstraint("run_key", name="loadflow_runs_run_key"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "loadflow_series",
        _of_run(),
        sa.Column("series", sa.Integer, primary_key=True, autoincrement=False),
        *_texts("method", "name", "test_url"),
        *_counts("requests", "failures"),
        *_floats("rate_per_s", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms"),
        sa.Column("totals", PackedJson, nullable=False),
    )
    op.create_table(
        "loadflow_errors",
        _of_run(),
        sa.Column("series", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("error", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("outcome", sa.SmallInteger, nullable=False),
        *_texts("kind", "text"),
        *_counts("count"),
        *_floats("first_s", "last_s"),
    )
    op.create_table(
        "loadflow_seconds",
        _of_run(),
        sa.Column("second", sa.Integer, primary_key=True, autoincrement=False),
        *_counts("hits", "failures"),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("users", "in_flight")),
        *_floats("cpu", "lag_ms"),
        *_counts("rss_bytes"),
        sa.Column("open_files", sa.Integer, nullable=False),
        *_floats("p50_ms", "p95_ms", "p99_ms"),
        sa.Column("histograms", PackedJson, nullable=False),
    )
    _create_hits(on_sqlite=op.get_bind().dialect.name == "sqlite")
    op.execute(VIEW)


def _create_hits(*, on_sqlite: bool) -> None:
    cascade = [sa.ForeignKeyConstraint(["run_id"], ["loadflow_runs.id"], ondelete="CASCADE")] if on_sqlite else []
    op.create_table(
        "loadflow_hits",
        sa.Column("run_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("n", sa.BigInteger, primary_key=True, autoincrement=False),
        *_counts("due_ns", "start_ns", "end_ns"),
        sa.Column("series", sa.Integer, nullable=False),
        *_counts("virtual_user"),
        sa.Column("error", sa.Integer, nullable=False),
        *_counts("sent_bytes", "received_bytes"),
        sa.Column("status", sa.Integer, nullable=False),
        *(sa.Column(name, sa.SmallInteger, nullable=False) for name in ("outcome", "flags")),
        *cascade,
        sqlite_with_rowid=False,
    )
    if not on_sqlite:
        for statement in REMOVE_HITS:
            op.execute(statement)


def _of_run() -> sa.Column[int]:
    return sa.Column("run_id", sa.Integer, sa.ForeignKey("loadflow_runs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False)


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _counts(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in names]


def _floats(*names: str) -> list[sa.Column[float]]:
    return [sa.Column(name, sa.Float, nullable=False) for name in names]
