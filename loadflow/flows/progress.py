"""Folds snapshots into the few words that a progress artifact and the log lines of a load show; pure."""

from __future__ import annotations

from loadflow.engine.base.counted import counted
from loadflow.engine.base.figures import clock_text, count_text, latency_text, percent_text, rate_text
from loadflow.engine.records.histogram import Histogram
from loadflow.engine.records.passes import Passes
from loadflow.engine.records.snapshot import Snapshot

__all__ = ["Progress"]


class Progress:
    """`add` every snapshot; `take` gives the seconds since the last `take`.

    >>> Progress().take()
    (0.0, 'starting')
    """

    def __init__(self) -> None:
        self._last: Snapshot | None = None
        self._hits = 0
        self._decided = 0
        self._failures = 0
        self._dropped = 0
        self._seconds = 0
        self._passes = Passes()
        self._response = Histogram()

    def add(self, snapshot: Snapshot) -> None:
        overall = snapshot.delta.overall()
        self._last = snapshot
        self._hits += overall.hits
        self._decided += overall.final_hits
        self._failures += overall.final_failures
        self._dropped += snapshot.delta.passes.dropped
        self._passes.merge(snapshot.delta.passes)
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
            f"{counted(self._last.health.users, 'user')}",
            f"{rate_text(self._per_s(self._response.count))}/s",
            self._paced(),
            f"p95 {latency_text(self._response.quantile_ns(0.95) / 1e6)}" if self._response.count else "no answer yet",
            f"{counted(self._hits, 'request')}",
            f"{count_text(self._failures)} failed ({percent_text(self._failures / self._decided)})" if self._decided else "0 failed",
            f"{count_text(self._dropped)} dropped" if self._dropped else "",
        ]
        self._seconds = 0
        self._passes = Passes()
        self._response = Histogram()
        return self.percent, " · ".join(filter(None, parts))

    def _per_s(self, count: int) -> float:
        return count / self._seconds if self._seconds else 0.0

    def _paced(self) -> str:
        """Made and asked for; "" where users decide, not a rate."""
        if not self._passes.due:
            return ""
        return f"{rate_text(self._per_s(self._passes.started))} of {rate_text(self._per_s(self._passes.due))} passes/s"
