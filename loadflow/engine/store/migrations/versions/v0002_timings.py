"""Hits with the time of the first byte of the answer, and of what came before it; those of older runs have 0, which is not known."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

VIEW = """
CREATE VIEW loadflow_requests AS
SELECT h.run_id, h.n, h.start_ns / 1e9 AS started_s, h.end_ns / 1e9 AS ended_s, s.method, s.name,
       CASE h.outcome WHEN 0 THEN 'success' ELSE 'failure' END AS outcome,
       h.status AS status_code, (h.end_ns - h.due_ns) / 1e6 AS response_time_ms, h.received_bytes AS response_length,
       COALESCE(e.kind, 'ok') AS outcome_kind, e.text AS error, h.virtual_user,
       CASE WHEN h.first_byte_ns > 0 THEN (h.first_byte_ns - h.start_ns) / 1e6 END AS ttfb_ms,
       NULLIF(h.dns_us, 0) / 1e3 AS dns_ms, NULLIF(h.connect_us, 0) / 1e3 AS connect_ms,
       NULLIF(h.tls_us, 0) / 1e3 AS tls_ms, NULLIF(h.send_us, 0) / 1e3 AS send_ms
FROM loadflow_hits h
LEFT JOIN loadflow_series s ON s.run_id = h.run_id AND s.series = h.series
LEFT JOIN loadflow_errors e ON e.run_id = h.run_id AND e.series = h.series AND e.error = h.error
"""


def upgrade() -> None:
    op.execute("DROP VIEW loadflow_requests")
    op.add_column("loadflow_hits", sa.Column("first_byte_ns", sa.BigInteger, nullable=False, server_default="0"))
    for name in ("dns_us", "connect_us", "tls_us", "send_us"):
        op.add_column("loadflow_hits", sa.Column(name, sa.Integer, nullable=False, server_default="0"))
    op.execute(VIEW)
