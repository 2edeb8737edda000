"""Counts of passes by outcome, by which the asked and the achieved load are compared.

Every pass that was due ends in exactly one way. It was *dropped*: nothing of it was sent, because no user was free in time, or because its
user still waited (in a throttle, a think time) when the load ended. Or it was *started*, with its first request, and then *made* all its
steps or was *cut off* before the last. Or it is *lost* with the process that had it. So `due = started + dropped + lost` and
`started = made + cut_off` in every run; where they are not equal, the run's numbers are not to be trusted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields

from loadflow.engine.base.json_value import JsonObject

__all__ = ["PassCount", "Passes", "RateSummary", "closed_passes", "lost_passes"]


@dataclass(slots=True)
class Passes:
    """In a second, or in all; as an engine reports them, since the start. While a load runs, some are under way: due, and in no other
    count, or started and not yet made."""

    due: int = 0
    started: int = 0
    dropped: int = 0
    made: int = 0
    cut_off: int = 0
    lost: int = 0

    @property
    def achieved(self) -> float:
        """The share of those due that were started; 1.0 where none was due."""
        return self.started / self.due if self.due else 1.0

    @property
    def balanced(self) -> bool:
        """Whether each pass is in exactly one place; to be asked of a load that is over."""
        return self.due == self.started + self.dropped + self.lost and self.started == self.made + self.cut_off

    def merge(self, other: Passes) -> None:
        for name in NAMES:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def beyond(self, other: Passes) -> Passes:
        """What these sums have more than earlier ones."""
        return Passes(*(getattr(self, name) - getattr(other, name) for name in NAMES))

    @classmethod
    def merged(cls, parts: Iterable[Passes]) -> Passes:
        total = cls()
        for part in parts:
            total.merge(part)
        return total

    def to_json(self) -> dict[str, int]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: JsonObject | None) -> Passes:
        """Older releases did not record how a started pass ended."""
        return cls(**{"made": data.get("started", 0), **data}) if data else cls()


NAMES = tuple(field.name for field in fields(Passes))


@dataclass(frozen=True, slots=True)
class RateSummary:
    """Asked and achieved. `asked_per_s` and `achieved_per_s` are averages over the time of the load; `achieved` is a share of 1."""

    due: int
    started: int
    dropped: int
    made: int
    cut_off: int
    lost: int
    achieved: float
    asked_per_s: float
    achieved_per_s: float

    @classmethod
    def of(cls, passes: Passes, paced_s: float) -> RateSummary:
        """`paced_s`: how long the rate ran."""
        asked, achieved = (count / paced_s if paced_s > 0 else 0.0 for count in (passes.due, passes.started))
        return cls(**passes.to_json(), achieved=passes.achieved, asked_per_s=asked, achieved_per_s=achieved)


def closed_passes(told: Iterable[Passes], asked: int | None, lost: int = 0) -> Passes:
    """The books of users in a closed loop, from what their processes reported (`told`), and `lost`: the passes of processes that were lost.

    Without a number of passes that was `asked` for, one is due when it starts, and all of `lost` had; with one, those that never started
    are dropped, but for up to `lost`.
    """
    total = Passes.merged(told)
    due = total.started + lost if asked is None else max(asked, total.started)
    lost = min(lost, due - total.started)
    return Passes(due, total.started, due - total.started - lost, total.made, total.started - total.made, lost)


def lost_passes(told: Passes, begun: int) -> Passes:
    """Of a process that was lost: `told` is what it reported last, `begun` how many passes its rows show, which are written more often.

    A pass whose first row was not written is lost, even if the process had reported its begin.

    >>> lost_passes(Passes(9, 9, 0, 8), begun=12)
    Passes(due=12, started=12, dropped=0, made=8, cut_off=4, lost=0)
    """
    started = max(begun, told.made + told.cut_off)  # passes of which every condition said no are made without a row
    return Passes(max(told.due, started + told.dropped), started, told.dropped, told.made, started - told.made)


class PassCount:
    """Passes of a pace second by second: the pace gives the number of due passes, the processes report their outcomes.

    `due_by` gives the number that is due by a time in nanoseconds (`Pace.count`), of which every `shards`-th belongs to the same process.
    Each process reports its own sums since the start, so the differences add up to exactly the last ones, whatever came in between.
    """

    def __init__(self, due_by: Callable[[float], int], shards: int) -> None:
        self._due_by = due_by
        self._shards = shards
        self._told: dict[int, dict[int, Passes]] = {}
        self._last: dict[int, Passes] = {}
        self._done: dict[int, Passes] = {}
        self._unknown: set[int] = set()
        self._ran_s: dict[int, float] = {}
        self._given = Passes()
        self._share = {shard: shard for shard in range(shards)}

    def open(self, log: int, share: int) -> None:
        """What a lost process left of a share is made by another process, which reports its own sums under this number."""
        self._share[log] = share

    def told(self, shard: int, second: int, passes: Passes, ran_s: float | None) -> None:
        """What process `shard` said at the end of `second`; `ran_s`: when its load ended, if it did."""
        self._told.setdefault(second, {})[shard] = passes
        if ran_s is not None:
            self._ran_s[shard] = ran_s

    def done(self, shard: int, passes: Passes, ran_s: float, *, lost: bool = False) -> None:
        """The process's last report. `lost`: the process was lost, so the outcome of its other passes is not known."""
        self._done[shard] = passes
        self._ran_s[shard] = ran_s
        if lost:
            self._unknown.add(shard)

    def second(self, second: int) -> Passes:
        """Of `second`; asked for each, in order."""
        self._last |= self._told.pop(second, {})
        return self._more(self._sums(self._due_by(min(second + 1, self._ended_s()) * 1e9)))

    def rest(self, begun: Mapping[int, int]) -> Passes:
        """The passes that no second contains, after the last report. `begun`: passes that each process began, by its rows; 0 if missing."""
        self._last |= self._done
        for shard in self._lost():
            self._last[shard] = lost_passes(self._last.get(shard, Passes()), begun.get(shard, 0))
        ended_s = self._ended_s()
        due = self._given.due if ended_s == math.inf else self._due_by(round(ended_s * 1e9))
        total = self._sums(due)
        lost = self._lost()
        for one in range(self._shards):
            logs = [log for log, share in self._share.items() if share == one]
            passes = Passes.merged(self._last.get(log, Passes()) for log in logs)
            share = (due + self._shards - 1 - one) // self._shards
            if lost.intersection(logs):
                total.lost += max(0, share - passes.started - passes.dropped)
            elif self._ran_s[one] < ended_s:  # passes that became due for it after its own end, while other processes went on
                total.dropped += max(0, share - passes.due)
        return self._more(total)

    def _lost(self) -> set[int]:
        return self._unknown | (set(self._share) - set(self._done))

    def _sums(self, due: int) -> Passes:
        """What was reported last. How passes ended comes with the seconds, as it becomes known; when they were due comes from the pace."""
        total = Passes.merged(self._last.values())
        total.due = due
        return total

    def _ended_s(self) -> float:
        """When the last process ended its load; never, as long as one goes on."""
        known = {shard: ran_s for shard, ran_s in self._ran_s.items() if shard not in self._unknown} or self._ran_s
        return max(known.values()) if self._ran_s.keys() == self._share.keys() else math.inf

    def _more(self, total: Passes) -> Passes:
        """What these sums add to what was given away already."""
        given, self._given = self._given, total
        return total.beyond(given)
