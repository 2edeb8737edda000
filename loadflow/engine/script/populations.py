"""What populations of a test may say for themselves."""

from __future__ import annotations

__all__ = ["MOST_POPULATIONS", "OWN_KEYS", "STEPS"]

MOST_POPULATIONS = 32  # each has engine processes of its own
STEPS = ("on_start", "tasks", "on_stop")
# what a population may say for itself, in place of what all share
OWN_KEYS = (
    "user_detail_dict",
    *STEPS,
    *("user_count", "spawn_rate", "test_time", "load_shape", "shape_config", "iterations", "wait_time"),
    *("rate", "max_in_flight", "max_lateness", "rate_tolerance", "stop_when", "thresholds", "max_failure_rate"),
    *("variables", "csv_sources", "host", "hosts", "processes", "threads", "drain_time", "seed", "max_body_bytes", "revision_header"),
)
