"""Seconds of a load as an exporter is told of them, made of chosen response times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from loadflow.engine.records.health import Health
from loadflow.engine.records.names import ErrorText, SeriesName
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.passes import Passes
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.records.totals import ErrorCount, SeriesTotals, Totals
from loadflow.engine.session.observer import Observer
from loadflow.engine.session.session import Session, use_session
from tests.builders import STARTED_UNIX_S, facts

__all__ = ["GET_A", "Feed", "a_run", "series_totals", "session"]

GET_A = SeriesName("GET", "/a")
Hits = Mapping[SeriesName, tuple[Sequence[float], Sequence[float]]]


def a_run(folder: Path, **changes: Any) -> Run:
    """A run without a folder on disk: exporters read its facts only."""
    return Run(folder, facts(**changes), shards=1, max_failure_rate=0.0)


def series_totals(succeeded_ms: Sequence[float], failed_ms: Sequence[float] = (), **counts: int) -> SeriesTotals:
    totals = SeriesTotals(**counts)
    totals.succeeded.add((np.array(succeeded_ms, dtype=float) * 1e6).astype(np.int64))
    totals.failed.add((np.array(failed_ms, dtype=float) * 1e6).astype(np.int64))
    totals.received_bytes += 100 * totals.hits
    totals.sent_bytes += 10 * totals.hits
    return totals


class Feed:
    """One load of an observer: `second` tells of the next second, `end` of the end."""

    def __init__(self, observer: Observer, run: Run) -> None:
        self._observer = observer
        self._run = run
        self._second = 0
        observer.run_started(run)

    def second(
        self,
        hits: Hits,
        *,
        health: Health | None = None,
        dropped: int = 0,
        error: str = "status 503",
        late: int = 0,
        service_ms: Sequence[float] = (),
    ) -> Snapshot:
        """Response times of successes and failures in milliseconds, by name; 10 passes were due, `dropped` of them were not made."""
        delta = Totals(series={name: series_totals(*times, late=late) for name, times in hits.items()})
        for name, (_, failed) in hits.items():
            delta.series[name].service.add((np.array(service_ms, dtype=float) * 1e6).astype(np.int64))
            if failed:
                delta.errors[name, ErrorText(Outcome.STATUS, error)] = ErrorCount(len(failed), 0.0, 1.0)
        delta.passes = Passes(10, 10 - dropped, dropped)
        snapshot = Snapshot(self._second, STARTED_UNIX_S + self._second + 1, delta, health or Health(users=5, in_flight=3), 30.0)
        self._second += 1
        self._observer.snapshot(self._run, snapshot)
        return snapshot

    def end(self) -> None:
        self._observer.run_ended(self._run, self._run.summary())


@contextmanager
def session() -> Iterator[Session]:
    """A session of its own; what was started in it is closed at the end."""
    with use_session(Session(name="shop")) as one:
        try:
            yield one
        finally:
            one.close()
