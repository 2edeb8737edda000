"""What a freeze of one second does to the percentiles: at an arrival rate, and with users who wait for their answers.

The target answers at once, but for one second of ten; see docs/pace.md.

    python -m benchmarks.freeze [--write]
"""

from __future__ import annotations

import argparse
import tempfile
from typing import Any

from benchmarks.results import publish, table
from loadflow.engine.load.start import start_test
from loadflow.engine.session.session import Session, use_session
from tests.targets.frozen import frozen_for_a_second

SECONDS = 10.0
LOADS: list[tuple[str, dict[str, Any]]] = [
    ("rate 100/s, at most 20 in flight", {"rate": 100, "max_in_flight": 20}),
    ("20 users, closed loop", {"user_count": 20, "spawn_rate": 1000}),
    ("20 users who wait 0.2 s", {"user_count": 20, "spawn_rate": 1000, "wait_time": 0.2}),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    options = parser.parse_args()
    rows = []
    for name, load in LOADS:
        with tempfile.TemporaryDirectory() as folder, frozen_for_a_second() as url, use_session(Session(runs_dir=folder)):
            tasks = [{"method": "get", "request_url": url}]
            summary = start_test({"user": "fast_http_user"}, test_time=SECONDS, tasks=tasks, **load)
        rows += [_row(name, what, summary[f"latency_{what}"]) for what in ("overall", "service") if summary[f"latency_{what}"]]
    heads = ["load", "measured from", "hits", "p50", "p90", "p95", "p99", "max"]
    publish("A target that freezes for one second of ten", "python -m benchmarks.freeze", table(heads, rows), write=options.write)


def _row(name: str, what: str, latency: dict[str, float]) -> list[str]:
    times = [f"{latency[f'{key}_ms']:,.1f} ms" for key in ("p50", "p90", "p95", "p99", "max")]
    return [name, "due" if what == "overall" else "sent", f"{latency['count']:,}", *times]


if __name__ == "__main__":
    main()
