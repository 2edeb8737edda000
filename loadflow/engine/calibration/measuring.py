"""Measure this machine: each engine as a run uses it, recording and all, against a target that does nothing."""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from loadflow.engine.calibration.target import NullTarget
from loadflow.engine.generator.native.fit import is_built
from loadflow.engine.load.start import start_test
from loadflow.engine.machine.calibration import Calibration, EngineCeiling, Jitter, limit_of
from loadflow.engine.machine.facts import this_machine, version_of
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import SecondRow
from loadflow.engine.session.observer import Observer
from loadflow.engine.session.session import Session, use_session
from loadflow.errors import RunError

__all__ = ["calibrate", "jitter_of"]

CONNECTIONS = 50
RATE_PER_S = 500.0  # a few per cent of what any machine can do, and enough for a p99 within a second
NAP_S = 0.001
NAPS_S = 0.3


def calibrate(seconds: int = 1, tell: Callable[[str], None] = lambda text: None, observers: Sequence[Observer] = ()) -> Calibration:
    """Takes a few seconds more than four times `seconds`, the length of each load. `tell` is called with what is measured next.

    Raises RunError where a load can't be made, or a hit failed; Interrupted when one of `observers` asked for the end.
    """
    tell("timers")
    timer = _naps()
    with tempfile.TemporaryDirectory(prefix="loadflow-calibration-") as folder, NullTarget() as target:
        session = Session(name="calibration", runs_dir=folder, observers=observers)
        engines = {}
        for engine in ["native", "locust"] if is_built() else ["locust"]:
            tell(f"engine {engine}")
            engines[engine] = _engine(engine, target, session, seconds)
        kind = target.kind
    return Calibration(
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        loadflow=version_of("loadflow"),
        python=platform.python_version(),
        machine=this_machine(),
        target=kind,
        connections=CONNECTIONS,
        seconds=seconds,
        rate_per_s=RATE_PER_S,
        timer=timer,
        engines=engines,
    )


def _naps() -> Jitter:
    """How late this process wakes from short sleeps, with nothing else to do."""
    late_ns = []
    until = time.monotonic() + NAPS_S
    while time.monotonic() < until:
        due_ns = time.monotonic_ns() + int(NAP_S * 1e9)
        time.sleep(NAP_S)
        late_ns.append(time.monotonic_ns() - due_ns)
    return jitter_of(np.array(late_ns))


def _engine(engine: str, target: NullTarget, session: Session, seconds: int) -> EngineCeiling:
    before_s = target.cpu_s()
    closed = _load(engine, target, session, seconds, user_count=CONNECTIONS, spawn_rate=10_000)
    target_cpu = (target.cpu_s() - before_s) / seconds
    rows = warm([row for row in closed.seconds() if row.second < seconds])
    hits = sum(row.succeeded.count for row in rows)
    cpu = sum(row.health.cpu for row in rows) / len(rows)
    paced = _load(engine, target, session, seconds, rate=RATE_PER_S, max_in_flight=CONNECTIONS)
    sent = paced.hits()
    return EngineCeiling(
        hits_per_s=hits / len(rows),
        cpu_ms_per_1000_hits=cpu * len(rows) / hits * 1e6,
        generator_cpu=cpu,
        target_cpu=target_cpu,
        limited_by=limit_of(cpu, target_cpu),
        late=jitter_of(sent["start_ns"] - sent["due_ns"]),
        lag_ms=max(health.lag_ms for health in paced.health()),
        floor=jitter_of(sent["end_ns"] - sent["start_ns"]),
    )


def _load(engine: str, target: NullTarget, session: Session, seconds: int, **pace: Any) -> Run:
    """One short run, of which every hit succeeded."""
    step = {"method": "get", "request_url": "/", "assertions": [{"type": "status_code", "value": 200}]}
    with use_session(session):
        summary = start_test(
            {"user": "fast_http_user", "engine": engine},
            host=target.url,
            test_time=seconds,
            tasks={"mode": "weighted", "tasks": [step]},
            **pace,
        )
        run = session.runs[-1]
    totals = summary["totals"]
    if totals["failures"] or not totals["requests"]:
        why = summary["errors"][0]["message"] if summary["errors"] else "no hit was recorded"
        raise RunError(f"engine {engine} can't be calibrated: {why}; see `loadflow doctor`")
    return run


def warm(rows: Sequence[SecondRow]) -> Sequence[SecondRow]:
    """Without the first second, in which connections are opened, where there is another."""
    return rows[1:] if len(rows) > 1 else rows


def jitter_of(late_ns: npt.NDArray[np.int64]) -> Jitter:
    """From nanoseconds; at least one.

    >>> jitter_of(np.array([1_000_000, 2_000_000, 3_000_000]))
    Jitter(p50_ms=2.0, p99_ms=2.98, max_ms=3.0)
    """
    p50, p99, most = (round(float(value) / 1e6, 4) for value in np.quantile(late_ns, (0.5, 0.99, 1.0)))
    return Jitter(p50, p99, most)
