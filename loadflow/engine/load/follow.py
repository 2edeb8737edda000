"""Follows the hit logs of a running load and makes a snapshot of each second, in order, without gaps.

A second is complete once every engine process has said that all of its hits are in the log. The fold runs here, in the
parent, so that counting costs the load nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from loadflow.engine.plan.pace import Pace
from loadflow.engine.plan.plan import Shard, share
from loadflow.engine.process.messages import Done, Flush, Opened, Tick
from loadflow.engine.records.attempts import OpenAttempts, without_events
from loadflow.engine.records.fold import fold_rows
from loadflow.engine.records.health import Health
from loadflow.engine.records.hitlog import Rows, read_rows
from loadflow.engine.records.outcome import HitFlag
from loadflow.engine.records.passes import PassCount, Passes, closed_passes, lost_passes
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.records.totals import SeriesTotals, Totals

__all__ = ["Follower"]

CHUNK_ROWS = 262_144


class Follower:
    """`tick` and `done` take messages and give the seconds that are complete by them.

    `on_rows` is given every row once, as (shard, rows), before the seconds that it completes.
    """

    def __init__(self, run: Run, shards: int, planned_s: float | None, pace: Pace | None = None) -> None:
        self.totals = Totals()
        self.origin_unix_s = 0.0
        self.on_rows: Callable[[int, Rows], None] | None = None
        self._run = run
        self._planned_s = planned_s
        self._shares = shards
        self._share = {shard: shard for shard in range(shards)}  # the share of the load that a log belongs to
        self._names = {shard: run.shard_names(shard) for shard in range(shards)}
        self._read = dict.fromkeys(range(shards), 0)
        self._attempts = {shard: OpenAttempts() for shard in range(shards)}
        self._until: dict[int, float] = dict.fromkeys(range(shards), 0)
        self._pending: dict[int, Totals] = {}
        self._health: dict[int, dict[int, Health]] = {}
        self._last_health = dict.fromkeys(range(shards), Health())
        self._next = 0
        self._begun: Counter[int] = Counter()  # passes, by their rows
        self._told: dict[int, Passes] = {}
        self._own_word: set[int] = set()  # of shards that were not lost
        self._due = pace.count() if pace is not None else None
        self._passes = PassCount(self._due, shards) if self._due is not None else None

    def open(self, opened: Opened) -> None:
        """What is left of a share comes in a further log."""
        log = opened.shard
        self._share[log] = opened.share
        self._names[log] = self._run.shard_names(log)
        self._read[log] = 0
        self._attempts[log] = OpenAttempts()
        self._until[log] = max(self._next, opened.from_s)
        self._last_health[log] = Health()
        if self._passes is not None:
            self._passes.open(log, opened.share)

    def change(self, pace: Pace, at_s: int) -> None:
        """From second `at_s` on, which is still to come, `pace` says what is due; up to then both paces are the same."""
        if self._due is not None:
            self._due.change(pace, at_s * 10**9)

    @property
    def hits(self) -> int:
        return self.totals.hits + sum(totals.hits for totals in self._pending.values())

    def tick(self, tick: Tick) -> Iterator[Snapshot]:
        self._take(tick.shard, tick.rows)
        self._last_health[tick.shard] = tick.health
        # an engine that stood still said nothing of these seconds: what it says afterwards is of all of them
        missed = range(int(self._until[tick.shard]), tick.until_s - 1)
        health = replace(tick.health, lag_ms=max(tick.health.lag_ms, len(missed) * 1e3))
        for second in (*missed, tick.until_s - 1):
            self._health.setdefault(second, {})[tick.shard] = health
        self._told[tick.shard] = tick.passes
        if self._passes is not None:
            self._passes.told(tick.shard, tick.until_s - 1, tick.passes, tick.ran_s)
        self._until[tick.shard] = max(self._until[tick.shard], tick.until_s)
        yield from self._complete()

    def flush(self, flush: Flush) -> None:
        self._take(flush.shard, flush.rows)

    def done(self, done: Done) -> Iterator[Snapshot]:
        self._take(done.shard, done.rows)
        self._last_health[done.shard] = done.health
        self._told[done.shard] = done.passes
        if not done.lost:
            self._own_word.add(done.shard)
        if self._passes is not None:
            self._passes.done(done.shard, done.passes, done.ran_s, lost=done.lost)
        self._until[done.shard] = math.inf
        yield from self._complete()

    def end(self) -> Iterator[Snapshot]:
        """Take whatever rows are on disk, however the engines ended, and give the seconds that are left."""
        for shard in self._read:
            if self._run.hits_path(shard).exists():
                self._take(shard, None)
            self._until[shard] = math.inf
        yield from self._complete()

    def closed_passes(self, users: int, iterations: int | None) -> Passes:
        """Counts of passes for `users` users in a closed loop, each with `iterations` passes; None: as many as there is time for."""
        told: list[Passes] = []
        started: Counter[int] = Counter()
        begun = 0  # of which no row is here
        for log, share_of in self._share.items():
            passes = self._told.get(log, Passes())
            if log not in self._own_word:
                passes = lost_passes(passes, self._begun[log])
                begun += passes.due - passes.started - passes.dropped
            started[share_of] += passes.started
            told.append(passes)
        if iterations is None:
            return closed_passes(told, None, begun)
        lost = {share_of for log, share_of in self._share.items() if log not in self._own_word}
        missing = sum(max(0, share(users, Shard(one, self._shares)) * iterations - started[one]) for one in lost)
        return closed_passes(told, users * iterations, missing)

    def _take(self, shard: int, rows: int | None) -> None:
        """Fold the rows up to number `rows` (None: all) that were not folded yet."""
        path = self._run.hits_path(shard)
        while rows is None or self._read[shard] < rows:
            wanted = CHUNK_ROWS if rows is None else min(CHUNK_ROWS, rows - self._read[shard])
            part = read_rows(path, self._read[shard], wanted)
            if len(part) == 0:
                return
            if self.on_rows is not None:
                self.on_rows(shard, without_events(part))
            self._attempts[shard].take(part)
            self._begun[shard] += int(np.count_nonzero(part["flags"] & HitFlag.FIRST))
            for second, totals in fold_rows(part, self._names[shard], paced=self._passes is not None).items():
                # a row of a second that was given away already can't be; should a clock do it, it counts a second later
                self._pending.setdefault(max(second, self._next), Totals()).merge(totals)
            self._read[shard] += len(part)

    def _complete(self) -> Iterator[Snapshot]:
        until = min(self._until.values())
        ended = until == math.inf
        if ended:
            until = max(self._pending, default=self._next - 1) + 1
        while self._next < until:
            second = self._next
            self._next += 1
            delta = self._pending.pop(second, Totals())
            if self._passes is not None:
                delta.passes = self._passes.second(second)
            if ended and self._next == until:
                delta.merge(self._rest())
            yield self._snapshot(second, delta)
        if ended and (rest := self._rest()) != Totals():
            # what was dropped, or turned out to be the last attempt, when no request was in flight any more
            self._next += 1
            yield self._snapshot(self._next - 1, rest)

    def _rest(self) -> Totals:
        """What no second has: passes that waited until the end, and attempts that count after all because no retry followed."""
        rest = Totals(passes=self._passes.rest(self._begun) if self._passes is not None else Passes())
        for shard, attempts in self._attempts.items():
            for totals in fold_rows(attempts.rows(), self._names[shard]).values():
                for name, one in totals.series.items():
                    rest.series.setdefault(name, SeriesTotals()).merge(SeriesTotals(superseded=-one.hits, superseded_failed=-one.failures))
                for key, error in totals.errors.items():
                    rest.errors.setdefault(key, replace(error, count=0, superseded=0)).superseded -= error.count
            self._attempts[shard] = OpenAttempts()
        return rest

    def _snapshot(self, second: int, delta: Totals) -> Snapshot:
        self.totals.merge(delta)
        known = self._health.pop(second, {})
        health = Health.merged(known.get(shard, last) for shard, last in self._last_health.items())
        return Snapshot(second, self.origin_unix_s + second + 1, delta, health, self._planned_s)
