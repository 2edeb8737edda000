"""Who works for a master: which workers there are, which share each has, and when the load can begin. Values and decisions only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from loadflow.engine.records.health import Health
from loadflow.engine.records.workers import WorkerRecord, WorkerState

__all__ = ["LIVE", "PROTOCOL", "Member", "Rules", "names_of", "too_few"]

PROTOCOL = 2  # of the messages between master and workers; goes up when an older end would not understand a newer one
LIVE = (WorkerState.JOINED, WorkerState.RUNNING)


@dataclass(frozen=True, slots=True)
class Rules:
    """Seconds, as LD_start_test has them. `degraded`: go on with fewer workers than expected, if there is one at least."""

    expected: int
    startup_s: float
    beat_s: float
    lost_s: float
    degraded: bool


@dataclass(slots=True)
class Member:
    """One worker as the master knows it. `shard` is -1 until the load is shared out."""

    id: str
    heard_s: float
    progress_s: float
    host: str = ""
    shard: int = -1
    phase: str = "joining"
    state: WorkerState = WorkerState.JOINED
    finished: int = 0
    ready: bool = False
    clock_error_s: float = 0.0
    recorded_s: float = 0.0
    ended_s: float | None = None
    message: str = ""
    health: Health = field(default_factory=Health)
    passes: tuple[int, int] = (0, 0)  # of a pace: started and dropped

    def told(self, data: Any, now_s: float) -> None:
        """Take a beat."""
        info = data["info"]
        self.host, self.clock_error_s = str(info["host"]), float(info["clock_error_s"])
        self.phase, self.finished = str(data["phase"]), int(data["finished"])
        self.heard_s = now_s

    def silence(self, now_s: float, rules: Rules) -> str:
        """Why it is taken for lost; "" while it is there. What delivers nothing at the end, though it speaks, is lost too."""
        if now_s - self.heard_s > rules.lost_s:
            return f"nothing was heard of it for {now_s - self.heard_s:.1f} s"
        if self.phase == "delivering" and now_s - self.progress_s > rules.lost_s:
            return f"it delivered nothing for {now_s - self.progress_s:.1f} s"
        return ""

    def record(self) -> WorkerRecord:
        return WorkerRecord(
            self.shard,
            self.id,
            self.host,
            self.state,
            None if self.ended_s is None else round(self.ended_s, 3),
            round(self.recorded_s, 3),
            round(self.clock_error_s * 1e3, 3),
            self.message,
        )


def names_of(members: Iterable[Member]) -> str:
    return ", ".join(f"{member.id} on {member.host}" for member in members) or "none"


def too_few(there: Sequence[Member], rules: Rules, what: str) -> str:
    """Why the load can't begin with those who are there; "" when it can."""
    if len(there) >= (1 if rules.degraded else rules.expected):
        return ""
    return (
        f"{len(there)} of {rules.expected} workers {what} within {rules.startup_s:g} s ({names_of(there)}); "
        "start more with `loadflow worker`, or give worker_startup_timeout more time"
        + ("" if rules.degraded or not there else ", or set worker_startup_policy to degraded")
    )
