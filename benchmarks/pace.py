"""How exactly an arrival rate is held: passes started against passes that were due, and how late each was.

Everything of loadflow (engine, supervisor, parent) on core 0, nginx on core 1. The count that is compared is nginx's own;
lateness is start minus due of every hit.

    python -m benchmarks.pace [--seconds 10] [--rates 5 500 5000 20000] [--engines native locust] [--write]

A rate that one core of an engine can't make is left out: 20,000 per second on Locust.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.nginx import Nginx
from benchmarks.results import publish, table
from loadflow.engine.records.run import Run

LOAD = """
import sys
from loadflow.engine.load.start import start_test
from loadflow.engine.session.session import Session, use_session
url, rate, seconds, folder, spacing, engine = sys.argv[1:]
rate = {"mode": "constant", "rps": float(rate), "duration": float(seconds), "spacing": spacing}
with use_session(Session(runs_dir=folder)):
    summary = start_test({"user": "fast_http_user", "engine": engine}, rate=rate, seed=1,
                         tasks=[{"method": "get", "request_url": url, "assertions": [{"type": "status_code", "value": 200}]}])
print(summary["run_dir"])
"""
MOST_PER_S = {"native": float("inf"), "locust": 5_000}


def main() -> None:
    options = _options()
    rows = []
    with tempfile.TemporaryDirectory() as folder, Nginx() as nginx:
        for engine in options.engines:
            for rate in (rate for rate in options.rates if rate <= MOST_PER_S[engine]):
                for spacing in ("even", "poisson"):
                    rows.append([engine, *measure(nginx, rate, max(options.seconds, 5 / rate), spacing, Path(folder), engine)])
                    print(rows[-1], flush=True)
    heads = ["engine", "asked", "gaps", "due", "received", "achieved", "p50 lateness", "p99", "max", "generator CPU", "verdict"]
    publish("Arrival rates", f"python -m benchmarks.pace --seconds {options.seconds:g}", table(heads, rows), write=options.write)


def measure(nginx: Nginx, rate: float, seconds: float, spacing: str, folder: Path, engine: str) -> list[str]:
    before = nginx.served()
    command = ["taskset", "-c", "0", sys.executable, "-c", LOAD, nginx.url, str(rate), str(seconds), str(folder), spacing, engine]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    received = nginx.served() - before - 1  # the question itself is one too
    run = Run.open(said.strip())
    hits, due, summary = run.hits(), run.totals().passes.due, run.summary()
    p50, p99, most = np.quantile((hits["start_ns"] - hits["due_ns"]) / 1e6, [0.5, 0.99, 1.0])
    cpu = float(np.median([one.cpu for one in run.health()]))
    times = [f"{value:.2f} ms" for value in (p50, p99, most)]
    return [f"{rate:,g}/s", spacing, f"{due:,}", f"{received:,}", f"{received / due:.3%}", *times, f"{cpu:.0%}", str(summary.verdict.kind)]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rates", type=float, nargs="+", default=[5.0, 500.0, 5_000.0, 20_000.0])
    parser.add_argument("--engines", nargs="+", choices=sorted(MOST_PER_S), default=["native", "locust"])
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
