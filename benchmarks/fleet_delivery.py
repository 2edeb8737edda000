"""What one coordinator takes: rows of many agents that deliver at once, into the run folder and the numbers of each second.

    python -m benchmarks.fleet_delivery [--agents 50] [--rows 1000000] [--seconds 10] [--write]

The agents are those of tests/fleet/simulated.py, in one process. Coordinator, fold and NATS server are the real ones. Every row must be in
the run folder at the end; what is told is the core time of each part for a million rows, which a busy machine changes less than the time
that it took.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import tempfile
import threading
import time

import psutil

from benchmarks.nginx import free_port
from benchmarks.results import publish, table
from loadflow.engine.fleet.keys import TOKEN_VARIABLE
from loadflow.engine.load.start import start_test
from loadflow.engine.plan.cluster import Workers
from loadflow.engine.session.session import Session, use_session
from tests.fleet.simulated import STEP_S, command

TOKEN = "a token of this benchmark"


class BrokersTime(threading.Thread):
    """The core time of the NATS server below this process, looked at while it is there."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.core_s = 0.0
        self.over = threading.Event()

    def run(self) -> None:
        found: psutil.Process | None = None
        while not self.over.wait(0.2):
            try:
                if found is None:
                    found = next((one for one in psutil.Process().children(recursive=True) if one.name() == "nats-server"), None)
                else:
                    used = found.cpu_times()
                    self.core_s = used.user + used.system
            except psutil.Error:
                found = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--agents", type=int, default=50)
    parser.add_argument("--rows", type=int, default=1_000_000, help="per second, of all agents")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    options = parser.parse_args()
    os.environ[TOKEN_VARIABLE] = TOKEN
    port = free_port()
    agents = subprocess.Popen(command(port, options.agents, options.rows, options.seconds))
    broker = BrokersTime()
    broker.start()
    workers = Workers(options.agents, listen=("127.0.0.1", port), external=True)
    before = resource.getrusage(resource.RUSAGE_SELF)
    began_s = time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as folder, use_session(Session(runs_dir=folder, workers=workers)):
            summary = start_test(
                {"user": "fast_http_user", "engine": "native"},
                user_count=options.agents,
                spawn_rate=1000,
                test_time=options.seconds,
                tasks=[{"method": "get", "request_url": "http://127.0.0.1:1/simulated"}],
            )
    finally:
        broker.over.set()
        if agents.wait(timeout=60):
            raise SystemExit("the simulated agents failed")
    used = resource.getrusage(resource.RUSAGE_SELF)
    whole_s = time.monotonic() - began_s
    rows = summary["totals"]["requests"]
    asked = options.rows * options.seconds
    assert abs(rows - asked) <= options.agents * options.seconds / STEP_S, (rows, asked)  # each step's rows are a whole number
    core_s = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    million = rows / 1e6
    cells = [
        ["coordinator and fold", f"{core_s / million:.2f}"],
        ["NATS server", f"{broker.core_s / million:.2f}"],
    ]
    text = table(["part", "core seconds for a million rows"], cells)
    text += (
        f"\n\n{options.agents} agents recorded {options.rows:,} rows/s for {options.seconds} s: {rows:,} rows, all in the run folder "
        f"{whole_s:.0f} s after the start of the run. Load averages at the end: {', '.join(f'{one:.1f}' for one in os.getloadavg())}."
    )
    asked_by = f"python -m benchmarks.fleet_delivery --agents {options.agents} --rows {options.rows} --seconds {options.seconds}"
    publish("One coordinator of many agents", asked_by, text, write=options.write)
    print(json.dumps({"verdict": summary["verdict"]["verdict"]}))


if __name__ == "__main__":
    main()
