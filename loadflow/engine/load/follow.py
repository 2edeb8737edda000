"""Follows the hit logs of a running load and makes a snapshot of each second, in order, without gaps.

A second is complete once every engine process has said that all of its hits are in the log. The fold runs here, in the
parent, so that counting costs the load nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from loadflow.engine.load.messages import Done, Flush, Tick
from loadflow.engine.plan.pace import Pace
from loadflow.engine.records.fold import fold_rows
from loadflow.engine.records.health import Health
from loadflow.engine.records.hitlog import Rows, read_rows
from loadflow.engine.records.passes import PassCount, Passes
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.records.totals import Totals

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
        self._names = {shard: run.names(shard) for shard in range(shards)}
        self._read = dict.fromkeys(range(shards), 0)
        self._until: dict[int, float] = dict.fromkeys(range(shards), 0)
        self._pending: dict[int, Totals] = {}
        self._health: dict[int, dict[int, Health]] = {}
        self._last_health = dict.fromkeys(range(shards), Health())
        self._next = 0
        self._passes = PassCount(pace.count(), shards) if pace is not None else None

    @property
    def hits(self) -> int:
        return self.totals.hits + sum(totals.hits for totals in self._pending.values())

    def tick(self, tick: Tick) -> Iterator[Snapshot]:
        self._take(tick.shard, tick.rows)
        self._last_health[tick.shard] = tick.health
        self._health.setdefault(tick.until_s - 1, {})[tick.shard] = tick.health
        if self._passes is not None:
            self._passes.told(tick.shard, tick.until_s - 1, tick.started, tick.dropped, tick.ran_s)
        self._until[tick.shard] = max(self._until[tick.shard], tick.until_s)
        yield from self._complete()

    def flush(self, flush: Flush) -> None:
        self._take(flush.shard, flush.rows)

    def done(self, done: Done) -> Iterator[Snapshot]:
        self._take(done.shard, done.rows)
        self._last_health[done.shard] = done.health
        if self._passes is not None:
            self._passes.done(done.shard, done.started, done.dropped, done.ran_s)
        self._until[done.shard] = math.inf
        yield from self._complete()

    def end(self) -> Iterator[Snapshot]:
        """Take whatever rows are on disk, however the engines ended, and give the seconds that are left."""
        for shard in self._read:
            if self._run.hits_path(shard).exists():
                self._take(shard, None)
            self._until[shard] = math.inf
        yield from self._complete()

    def _take(self, shard: int, rows: int | None) -> None:
        """Fold the rows up to number `rows` (None: all) that were not folded yet."""
        path = self._run.hits_path(shard)
        while rows is None or self._read[shard] < rows:
            wanted = CHUNK_ROWS if rows is None else min(CHUNK_ROWS, rows - self._read[shard])
            part = read_rows(path, self._read[shard], wanted)
            if len(part) == 0:
                return
            if self.on_rows is not None:
                self.on_rows(shard, part)
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
                    delta.passes.merge(self._passes.rest())
            yield self._snapshot(second, delta)
        if ended and self._passes is not None and (rest := self._passes.rest()) != Passes():
            # passes that were dropped when no request was in flight any more
            self._next += 1
            yield self._snapshot(self._next - 1, Totals(passes=rest))

    def _snapshot(self, second: int, delta: Totals) -> Snapshot:
        self.totals.merge(delta)
        known = self._health.pop(second, {})
        health = Health.merged(known.get(shard, last) for shard, last in self._last_health.items())
        return Snapshot(second, self.origin_unix_s + second + 1, delta, health, self._planned_s)
