"""Hits per second of one and of two agents, every hit in the run's folder, beside the same number of processes without agents.

    python -m benchmarks.fleet [--rounds 3] [--seconds 5] [--engine native] [--write]

nginx on core 1, everything else on core 0: agents, NATS server and fold share a core with the load, so what is compared is the CPU that a
hit costs in all. What nginx counted is held against what was recorded. Two agents with a core each, beside one, are not to be seen on a
machine of two cores: the target needs one of them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path

from benchmarks.nginx import Nginx
from benchmarks.results import publish, table
from loadflow.engine.load.start import start_test
from loadflow.engine.plan.cluster import Workers
from loadflow.engine.session.session import Session, use_session

USERS = 50
LOADS = {
    "one process": (None, 1),
    "one agent": (Workers(1), 1),
    "two processes": (None, 2),
    "two agents": (Workers(2), 1),
}


def measure(nginx: Nginx, folder: Path, seconds: float, engine: str, workers: Workers | None, processes: int) -> float:
    """Hits per second of the load's own time."""
    before = nginx.served()
    with use_session(Session(runs_dir=folder, workers=workers)):
        summary = start_test(
            {"user": "fast_http_user", "engine": engine},
            user_count=USERS,
            spawn_rate=1000,
            test_time=seconds,
            processes=processes,
            tasks=[{"method": "get", "request_url": nginx.url, "assertions": [{"type": "status_code", "value": 200}]}],
        )
    hits = summary["totals"]["requests"]
    served = nginx.served() - before
    assert summary["totals"]["failures"] == 0, summary["errors"]
    assert abs(served - hits) <= 2, (served, hits)  # nginx counts the questions for its count too
    return float(hits / summary["duration_s"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--engine", choices=["native", "locust"], default="native")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    options = parser.parse_args()
    os.sched_setaffinity(0, {0})
    found: dict[str, list[float]] = {name: [] for name in LOADS}
    with tempfile.TemporaryDirectory() as folder, Nginx() as nginx:
        for _ in range(options.rounds):
            for name, (workers, processes) in LOADS.items():
                found[name].append(measure(nginx, Path(folder), options.seconds, options.engine, workers, processes))
    ratios = {
        f"{agents} to {local}": statistics.median(a / b for a, b in zip(found[agents], found[local], strict=True))
        for agents, local in (("one agent", "one process"), ("two agents", "two processes"))
    }
    rows = [[name, f"{statistics.median(rates):,.0f}", f"{min(rates):,.0f} to {max(rates):,.0f}"] for name, rates in found.items()]
    told = "; ".join(f"{name}: {ratio:.2f}" for name, ratio in ratios.items())
    text = f"{table(['load', 'hits/s, median', 'spread'], rows)}\n\n{told}; every hit in the run folder."
    publish(f"Agents beside processes, {options.engine}", "python -m benchmarks.fleet", text, write=options.write)


if __name__ == "__main__":
    main()
