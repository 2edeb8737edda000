"""Folds snapshots into the few words that a progress artifact shows; pure."""

from __future__ import annotations

from loadflow.engine.records.histogram import Histogram
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.reports.figures import clock_text, count_text, latency_text, percent_text, rate_text

__all__ = ["Progress"]


class Progress:
    """`add` every snapshot; `take` tells about the seconds since the last `take`.

    >>> Progress().take()
    (0.0, 'starting')
    """

    def __init__(self) -> None:
        self._last: Snapshot | None = None
        self._hits = 0
        self._failures = 0
        self._dropped = 0
        self._seconds = 0
        self._response = Histogram()

    def add(self, snapshot: Snapshot) -> None:
        overall = snapshot.delta.overall()
        self._last = snapshot
        self._hits += overall.hits
        self._failures += overall.failures
        self._dropped += snapshot.delta.passes.dropped
        self._seconds += 1
        self._response.merge(overall.response())

    @property
    def percent(self) -> float:
        """Of the planned time, 0 to 100; 0 for a load that has no end of its own."""
        if self._last is None or not self._last.planned_s:
            return 0.0
        return min(100.0, 100.0 * (self._last.second + 1) / self._last.planned_s)

    def take(self) -> tuple[float, str]:
        """(percent, text)."""
        if self._last is None:
            return 0.0, "starting"
        planned_s = self._last.planned_s
        parts = [
            clock_text(self._last.second + 1) + (f" of {clock_text(planned_s)}" if planned_s else " (no end of its own)"),
            f"{count_text(self._last.health.users)} users",
            f"{rate_text(self._response.count / self._seconds if self._seconds else 0.0)}/s",
            f"p95 {latency_text(self._response.quantile_ns(0.95) / 1e6)}" if self._response.count else "no answer yet",
            f"{count_text(self._hits)} requests",
            f"{count_text(self._failures)} failed ({percent_text(self._failures / self._hits)})" if self._hits else "0 failed",
            *([f"{count_text(self._dropped)} dropped"] if self._dropped else []),
        ]
        self._seconds = 0
        self._response = Histogram()
        return self.percent, " · ".join(parts)
