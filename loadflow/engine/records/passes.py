"""What came of the passes that a pace asked for: the numbers by which asked and achieved are compared."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["PassCount", "Passes", "RateSummary"]


@dataclass(slots=True)
class Passes:
    """In a second, or in all. At the end of a run each pass that was due has either started or was dropped; until then one may
    also be waiting for a free user. All 0 where users, not a rate, decide."""

    due: int = 0
    started: int = 0
    dropped: int = 0

    @property
    def achieved(self) -> float:
        """The share of those due that started; 1.0 where none was due."""
        return self.started / self.due if self.due else 1.0

    def merge(self, other: Passes) -> None:
        self.due += other.due
        self.started += other.started
        self.dropped += other.dropped

    def to_json(self) -> dict[str, int]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any] | None) -> Passes:
        return cls(**data) if data else cls()


@dataclass(frozen=True, slots=True)
class RateSummary:
    """Asked and achieved. `asked_per_s` and `achieved_per_s` are averages over the time of the load."""

    due: int
    started: int
    dropped: int
    achieved: float
    asked_per_s: float
    achieved_per_s: float

    @classmethod
    def of(cls, passes: Passes, paced_s: float) -> RateSummary | None:
        """None where no rate was asked for. `paced_s`: how long the rate ran."""
        if passes == Passes():
            return None
        asked, achieved = (count / paced_s if paced_s > 0 else 0.0 for count in (passes.due, passes.started))
        return cls(passes.due, passes.started, passes.dropped, passes.achieved, asked, achieved)


class PassCount:
    """Passes second by second: how many were due the pace knows, what came of them the processes say.

    `due_by` gives the number that is due by a time in nanoseconds (`Pace.count`). Each process tells its own sums since the start,
    so the differences add up to exactly the last ones, whatever came in between.
    """

    def __init__(self, due_by: Callable[[float], int], shards: int) -> None:
        self._due_by = due_by
        self._shards = shards
        self._told: dict[int, dict[int, tuple[int, int]]] = {}
        self._last: dict[int, tuple[int, int]] = {}
        self._done: dict[int, tuple[int, int]] = {}
        self._ran_s: dict[int, float] = {}
        self._given = Passes()

    def told(self, shard: int, second: int, started: int, dropped: int, ran_s: float | None) -> None:
        """What process `shard` said at the end of `second`; `ran_s`: when its load ended, if it did."""
        self._told.setdefault(second, {})[shard] = (started, dropped)
        if ran_s is not None:
            self._ran_s[shard] = ran_s

    def done(self, shard: int, started: int, dropped: int, ran_s: float) -> None:
        self._done[shard] = (started, dropped)
        self._ran_s[shard] = ran_s

    def second(self, second: int) -> Passes:
        """Of `second`; asked for each, in order."""
        self._last |= self._told.pop(second, {})
        return self._beyond(self._due_by(min(second + 1, self._ended_s()) * 1e9), *self._sums())

    def rest(self) -> Passes:
        """What no second has yet, when all is told: passes that were due and had to wait until the end were dropped."""
        self._last |= self._done
        started, dropped = self._sums()
        if len(self._done) < self._shards:  # a process was lost, and nobody knows what became of its passes
            return self._beyond(self._given.due, started, dropped)
        due = self._due_by(self._ended_s() * 1e9)
        return self._beyond(due, started, due - started)

    def _sums(self) -> tuple[int, int]:
        return sum(started for started, _ in self._last.values()), sum(dropped for _, dropped in self._last.values())

    def _ended_s(self) -> float:
        """When the last process ended its load; never, as long as one goes on."""
        return max(self._ran_s.values()) if len(self._ran_s) == self._shards else math.inf

    def _beyond(self, due: int, started: int, dropped: int) -> Passes:
        """What these sums add to what was given away already."""
        given, self._given = self._given, Passes(due, started, dropped)
        return Passes(due - given.due, started - given.started, dropped - given.dropped)
