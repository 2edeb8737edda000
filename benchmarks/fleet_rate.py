"""A rate that four agents make together, beside one process of this machine; and what it takes until the load of a killed one is back.

    python -m benchmarks.fleet_rate [--rounds 5] [--seconds 10] [--per-second 20000] [--all-cores] [--write]

nginx on core 1, everything else on core 0: five engines' parents, four engines and a NATS server share a core that the one process has for
itself. With --all-cores the system places them, on two cores of which nginx has what it needs of one. Lateness is start minus due of every
hit. "Starts apart": by how much the first pass of one agent was later than that of another. In the second part one of four agents is killed
with all its processes, in the tenth second of a load of 2,000 passes a second.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.nginx import Nginx
from benchmarks.results import publish, table
from loadflow.engine.load.start import start_test
from loadflow.engine.plan.cluster import Workers
from loadflow.engine.records.hitlog import read_header
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.session.observer import Observer
from loadflow.engine.session.session import Session, use_session

AGENTS = 4
# who makes the load, and which part of the rate: an agent alone has what it would have on a machine of its own
LOADS = {"one process": (None, 1), "four agents": (Workers(AGENTS), 1), "one of them alone": (Workers(1), AGENTS)}
KILL_AT_S, KILL_LOAD_S, KILL_PER_S = 9, 30, 2_000


@dataclass(frozen=True, slots=True)
class Found:
    """Of one load; milliseconds. `achieved`: what the target was asked, of what was due."""

    achieved: float
    p50_ms: float
    p99_ms: float
    apart_ms: float


def load(nginx: Nginx, folder: Path, workers: Workers | None, per_s: int, seconds: int, observers: list[Observer]) -> tuple[Run, int]:
    """The run, and what nginx counted."""
    before = nginx.served()
    with use_session(Session(runs_dir=folder, workers=workers, observers=observers)) as session:
        start_test(
            {"user": "fast_http_user", "engine": "native"},
            rate={"mode": "constant", "rps": per_s, "duration": seconds},
            seed=1,
            tasks=[{"method": "get", "request_url": nginx.url, "assertions": [{"type": "status_code", "value": 200}]}],
        )
        return session.runs[-1], nginx.served() - before - 1  # the question itself is one too


def measure(nginx: Nginx, folder: Path, workers: Workers | None, per_s: int, seconds: int) -> Found:
    run, served = load(nginx, folder, workers, per_s, seconds, [])
    passes = run.totals().passes
    assert (passes.due, passes.lost) == (per_s * seconds, 0), passes
    assert served == len(run.hits()) == passes.started, (served, passes)
    late: list[Any] = []
    first = []
    for _, rows in run.iter_hits():
        late.append((rows["start_ns"].astype(np.int64) - rows["due_ns"].astype(np.int64)) / 1e6)
        begins = int(np.argmin(rows["due_ns"]))
        first.append(late[-1][begins])
    p50, p99 = np.quantile(np.concatenate(late), [0.5, 0.99])
    return Found(served / passes.due, float(p50), float(p99), max(first) - min(first))


class Killer(Observer):
    """Kills one agent, with its supervisor and its engine, at the end of this second."""

    def __init__(self, second: int) -> None:
        self._second = second
        self.killed_unix_s = 0.0

    def snapshot(self, run: Run, snapshot: Snapshot) -> None:
        if snapshot.second != self._second:
            return
        agents = [one for one in psutil.Process().children(recursive=True) if "loadflow.engine.entry.agent" in one.cmdline()]
        processes = [agents[0], *agents[0].children(recursive=True)]
        for one in processes:
            one.suspend()
        self.killed_unix_s = time.time()
        for one in processes:
            one.kill()


def kill(nginx: Nginx, folder: Path) -> list[str]:
    killer = Killer(KILL_AT_S)
    run, served = load(nginx, folder, Workers(AGENTS), KILL_PER_S, KILL_LOAD_S, [killer])
    passes, rows = run.totals().passes, run.hits()
    assert passes.due == KILL_PER_S * KILL_LOAD_S == passes.started + passes.dropped + passes.lost, passes
    assert len(set(rows["due_ns"].tolist())) == len(rows), "a pass was made twice"
    (later,) = (one for one in run.workers() if one.from_s)
    origin_s = read_header(run.hits_path(0)).origin_unix_ns / 1e9
    back_s = origin_s + later.from_s - killer.killed_unix_s
    after = rows[rows["due_ns"] >= later.from_s * 10**9]
    share = len(after) / (KILL_PER_S * (KILL_LOAD_S - later.from_s))
    return [f"{back_s:.1f} s", f"{share:.2%}", f"{passes.lost:,}", f"{served - len(rows):,}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--per-second", type=int, default=20_000)
    parser.add_argument("--all-cores", action="store_true", help="let the system place all but nginx")
    parser.add_argument("--write", action="store_true", help="put the tables into benchmarks/RESULTS.md")
    options = parser.parse_args()
    if not options.all_cores:
        os.sched_setaffinity(0, {0})
    found: dict[str, list[Found]] = {name: [] for name in LOADS}
    with tempfile.TemporaryDirectory() as folder, Nginx() as nginx:
        for _ in range(options.rounds):
            for name, (workers, part) in LOADS.items():
                found[name].append(measure(nginx, Path(folder), workers, options.per_second // part, options.seconds))
                print(name, found[name][-1], flush=True)
        killed = [kill(nginx, Path(folder)) for _ in range(min(3, options.rounds))]
    rows = [
        [
            name,
            f"{min(one.achieved for one in all_):.3%}",
            f"{statistics.median(one.p50_ms for one in all_):.2f} ms",
            f"{statistics.median(one.p99_ms for one in all_):.2f} ms",
            f"{min(one.p99_ms for one in all_):.2f} to {max(one.p99_ms for one in all_):.2f} ms",
            f"{max(one.apart_ms for one in all_):.2f} ms",
        ]
        for name, all_ in found.items()
    ]
    ratios = {
        name: statistics.median(a.p99_ms / b.p99_ms for a, b in zip(found[name], found["one process"], strict=True))
        for name in ("four agents", "one of them alone")
    }
    told = "; ".join(f"of {name} {ratio:.2f}" for name, ratio in ratios.items())
    heads = ["load", "achieved, least", "p50 lateness, median", "p99, median", "spread", "starts apart, most"]
    text = table(heads, rows) + f"\n\n{options.per_second:,} passes a second; p99 lateness to that of one process: {told}.\n\n"
    text += table(["killed: back after", "then of what is due", "passes lost", "sent and not delivered"], killed)
    command = f"python -m benchmarks.fleet_rate --rounds {options.rounds} --seconds {options.seconds} --per-second {options.per_second}"
    command += " --all-cores" if options.all_cores else ""
    publish("A rate that agents make together", command, text, write=options.write)


if __name__ == "__main__":
    main()
