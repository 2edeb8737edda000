"""What a person wants to know while load runs, folded from snapshots; and how it reads as one line."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from loadflow.engine.base.counted import counted
from loadflow.engine.records.health import Health
from loadflow.engine.records.histogram import Histogram
from loadflow.engine.records.passes import Passes
from loadflow.engine.records.snapshot import Snapshot

__all__ = ["WINDOW_S", "Progress", "clock"]

WINDOW_S = 5  # seconds that count as "now": a single second varies too much to be read


@dataclass
class Progress:
    """Counts since the start, and the rate and latencies of the last WINDOW_S seconds.

    `ran_s` is how many seconds are complete; `planned_s` None: the load has no end of its own.
    """

    label: str
    target: str = ""
    planned_s: float | None = None
    ran_s: int = 0
    hits: int = 0
    failures: int = 0
    errors: dict[str, int] = field(default_factory=dict)  # kind to count
    health: Health = field(default_factory=Health)
    passes: Passes = field(default_factory=Passes)
    _recent: deque[Histogram] = field(default_factory=lambda: deque(maxlen=WINDOW_S))

    def add(self, snapshot: Snapshot) -> None:
        overall = snapshot.delta.overall()
        self.ran_s = snapshot.second + 1
        self.planned_s = snapshot.planned_s if snapshot.planned_s is not None else self.planned_s
        self.hits += overall.hits
        self.failures += overall.final_failures
        self.health = snapshot.health
        self.passes.merge(snapshot.delta.passes)
        for (_, error), count in snapshot.delta.errors.items():
            self.errors[error.outcome.label] = self.errors.get(error.outcome.label, 0) + count.count
        self._recent.append(overall.response())

    @property
    def rate_per_s(self) -> float:
        """Hits per second, over the last seconds."""
        return sum(one.count for one in self._recent) / len(self._recent) if self._recent else 0.0

    @property
    def share(self) -> float | None:
        """How much of the planned time has passed, 0 to 1; None without a plan."""
        return min(1.0, self.ran_s / self.planned_s) if self.planned_s else None

    def latencies_ms(self) -> tuple[float, float, float]:
        """p50, p95 and p99 over the last seconds; zeros when nothing ended in them."""
        recent = Histogram.merged(self._recent)
        p50, p95, p99 = (recent.quantile_ns(q) / 1e6 for q in (0.5, 0.95, 0.99))
        return p50, p95, p99

    def line(self) -> str:
        """Everything in one line, for logs and terminals that can't move their cursor.

        >>> Progress("shop", planned_s=60.0).line()
        'shop 0:00/1:00 0 hits, 0/s, 0 users, 0 in flight, p50 0 p95 0 p99 0 ms, 0 failed, cpu 0%'
        """
        p50, p95, p99 = (milliseconds(value) for value in self.latencies_ms())
        lost = f"{self.failures:,} failed" + (f", {self.passes.dropped:,} dropped" if self.passes.dropped else "")
        of = f"/{clock(self.planned_s)}" if self.planned_s else ""
        return (
            f"{self.label} {clock(self.ran_s)}{of} {counted(self.hits, 'hit')}, {self.rate_per_s:,.0f}/s, "
            f"{counted(self.health.users, 'user')}, "
            f"{self.health.in_flight:,} in flight, p50 {p50} p95 {p95} p99 {p99} ms, {lost}, cpu {self.health.cpu:.0%}"
        )


def clock(seconds: float) -> str:
    """Minutes and seconds, or hours too.

    >>> clock(5), clock(75.4), clock(3723)
    ('0:05', '1:15', '1:02:03')
    """
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def milliseconds(value_ms: float) -> str:
    """Three figures are enough to read: 0.42, 4.2, 42, 4,200.

    >>> milliseconds(0.4216), milliseconds(4.216), milliseconds(42.16), milliseconds(4216.0), milliseconds(0)
    ('0.42', '4.2', '42', '4,216', '0')
    """
    if value_ms == 0:
        return "0"
    return f"{value_ms:.2f}" if value_ms < 1 else f"{value_ms:.1f}" if value_ms < 10 else f"{value_ms:,.0f}"
