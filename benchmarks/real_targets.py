"""Real loads on real servers with a known answer: `python -m benchmarks.real_targets [PAIRS [SECONDS [PROBE_S]]]`; half an hour.

A capacity: 8 slots with exponential service times of 40 ms, so that P(T > t) is known in closed form (benchmarks/capacity.py). Pairs of
runs of one server, unchanged, at 70 % load (one slot, 10 ms): how many of them `compare` calls different. Wants a quiet machine.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.capacity import QUEUES, SERVED_PER_S, SERVERS, capacity_of
from loadflow.engine.history.capacity_words import capacity_sentences
from loadflow.engine.history.kept_runs import KeptRun
from loadflow.engine.load.capacity import find_capacity
from loadflow.engine.load.start import start_test
from loadflow.engine.records.compare import ChangeKind, compare
from loadflow.engine.records.run import Run
from loadflow.engine.session.session import Session, use_session
from tests.targets.queueing import queueing_server

SERVICE_S, LOAD = 0.01, 0.7
MMC = QUEUES[1]


def test_of(url: str) -> dict[str, Any]:
    return {"user_detail_dict": {"user": "fast_http_user"}, "tasks": [{"method": "get", "request_url": url}]}


def searched(folder: Path, probe_s: float) -> dict[str, Any]:
    with queueing_server(SERVERS, SERVERS / SERVED_PER_S) as server, use_session(Session(runs_dir=folder, label="slots")):
        return find_capacity(test_of(server.url), [MMC.limit.text], start=50, at_most=400, budget=30 * probe_s, probe=probe_s)


def pair(folder: Path, seconds: int) -> list[str]:
    """The metrics that two runs of the same server differ in, by `compare`."""
    runs: list[Run] = []
    for _ in range(2):
        with queueing_server(1, SERVICE_S) as server, use_session(Session(runs_dir=folder)) as session:
            rate = {"mode": "constant", "rps": LOAD / SERVICE_S, "spacing": "poisson"}
            start_test(**test_of(server.url), rate=rate, test_time=seconds, max_in_flight=500, rate_tolerance=1.0)
            runs.append(session.all_runs[-1])
    before, after = (KeptRun.of(run).counted_together for run in runs)
    changed = (ChangeKind.BETTER, ChangeKind.WORSE)
    return [one.metric for one in compare(before, after, names=False).overall.changes if one.verdict in changed]


def main(pairs: int = 10, seconds: int = 60, probe_s: int = 60) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found, truth = searched(Path(folder), float(probe_s)), capacity_of(MMC)
        for line in capacity_sentences(found):
            print(line)
        off = found["capacity_per_s"] / truth - 1
        print(f"{SERVERS} slots bear {truth:.1f}/s: the answer is off by {off:+.1%}.", flush=True)
        different = [pair(Path(folder), seconds) for _ in range(pairs)]
    called = sum(map(bool, different))
    print(f"Of {pairs} pairs of {seconds} s of an unchanged server at {LOAD:.0%} load {called} were called different: {different}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
