"""Hits per second through a master and two workers of this machine, every hit in the master's run folder, beside two local processes.

    python -m benchmarks.cluster [--rounds 3] [--seconds 5] [--write]

nginx on core 1, everything else on core 0; Locust's users in both. What nginx counted is held against what was recorded.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path

from benchmarks.nginx import Nginx, free_port
from benchmarks.results import publish, table
from loadflow.engine.load.start import start_test
from loadflow.engine.session import Session, use_session
from tests.cluster.machines import TOKEN, WorkerCommand

USERS = 50


def measure(nginx: Nginx, folder: Path, seconds: float, workers: int) -> float:
    """Hits per second; `workers` 0: two processes of this machine without a master."""
    port = free_port()
    told = [WorkerCommand(folder, f"127.0.0.1:{port}", "--once") for _ in range(workers)]
    more = {"runner_mode": "master", "master_bind_host": "127.0.0.1", "master_bind_port": port, "expected_workers": workers}
    before = nginx.served()
    with use_session(Session(runs_dir=folder)):
        summary = start_test(
            {"user": "fast_http_user", "engine": "locust"},
            user_count=USERS,
            spawn_rate=1000,
            test_time=seconds,
            tasks=[{"method": "get", "request_url": nginx.url, "assertions": [{"type": "status_code", "value": 200}]}],
            **(more if workers else {"processes": 2}),
        )
    for worker in told:
        worker.wait()
    hits = summary["totals"]["requests"]
    served = nginx.served() - before
    assert summary["totals"]["failures"] == 0, summary["errors"]
    assert abs(served - hits) <= 2, (served, hits)  # nginx counts the questions for its count too
    return float(hits / seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    options = parser.parse_args()
    os.environ["LOADFLOW_WORKER_TOKEN"] = TOKEN
    os.sched_setaffinity(0, {0})
    found: dict[int, list[float]] = {0: [], 2: []}
    with tempfile.TemporaryDirectory() as folder, Nginx() as nginx:
        for _ in range(options.rounds):
            for workers, rates in found.items():
                rates.append(measure(nginx, Path(folder), options.seconds, workers))
    ratio = statistics.median(two / local for two, local in zip(found[2], found[0], strict=True))
    rows = [
        [name, f"{statistics.median(rates):,.0f}", f"{min(rates):,.0f} to {max(rates):,.0f}"]
        for name, rates in (("two local processes", found[0]), ("a master and two workers", found[2]))
    ]
    text = f"{table(['load', 'hits/s, median', 'spread'], rows)}\n\nWorkers to local processes: {ratio:.2f}, every hit at the master."
    publish("A master and two workers beside two local processes", "python -m benchmarks.cluster", text, write=options.write)


if __name__ == "__main__":
    main()
