"""Gives each pass of a pace to a free user when it is due: the engine's side of an arrival rate.

One greenlet walks the due times, sleeps until each (towards the absolute time, so that nothing adds up), and hands it to the user
that has been free for longest. While no user is free, the first pass that is due waits, and all behind it: they are times yet to be
computed, not entries of a queue, so a backlog costs no memory.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator

import gevent
from gevent.event import AsyncResult, Event

from loadflow.engine.plan.pace import LATE_NS, Pace
from loadflow.engine.plan.plan import Shard
from loadflow.engine.records.passes import Passes

__all__ = ["Arrivals", "Turn"]

LOOK_NS = 500_000_000  # a pass that is due later than this may still get another time
YIELD_EVERY = 500  # passes that are handed out without a sleep, when late, before others get a chance to run


class Turn(AsyncResult):  # type: ignore[misc]  # gevent is not typed
    """Its value is (due_ns, position of the step that was picked or -1); None: there is nothing more to do."""


class Arrivals:
    """Counts in `passes` the due passes, and those of them that no user got. `picks` belong to the whole run: pass n has pick n,
    in any process."""

    def __init__(self, pace: Pace, picks: Iterator[int] | None, shard: Shard, passes: Passes) -> None:
        self._books = passes
        self._pace = pace
        self._times = pace.arrivals(shard.index, shard.count)
        self._picks: Iterator[int] = itertools.repeat(-1) if picks is None else itertools.islice(picks, shard.index, None, shard.count)
        self._held: tuple[int, int] | None = None  # the pass that is next, or waits for a free user: when it is due, and its pick
        self._end_ns = round(pace.duration_s * 1e9)
        self._patience_ns = None if pace.max_lateness_s is None else round(pace.max_lateness_s * 1e9)
        self._most = pace.max_in_flight
        self._in_flight = 0
        self._free: deque[Turn] = deque()
        self._freed = Event()

    @property
    def free(self) -> int:
        """Users that wait for a pass."""
        return len(self._free)

    def wait(self, turn: Turn) -> None:
        """Queue a free user. It gets its next pass through `turn`; users are served in the order they came."""
        self._free.append(turn)
        self._freed.set()

    def passed(self) -> None:
        """A user is done with its pass."""
        self._in_flight -= 1

    def run(self, now_ns: Callable[[], int]) -> None:
        """Until the last pass was given away or dropped, and no change can bring another."""
        hurried = 0
        while (held := self._next()) is not None or now_ns() < self._end_ns:
            due_ns, position = held or (self._end_ns, -1)
            early_ns = due_ns - now_ns()
            if early_ns > LOOK_NS:
                gevent.sleep(LOOK_NS / 1e9)
                continue
            if early_ns > 0:
                gevent.sleep(early_ns / 1e9)
                hurried = 0
            elif (hurried := hurried + 1) % YIELD_EVERY == 0:
                gevent.sleep(0)
            if held is None:
                continue
            turn = self._next_free(due_ns, now_ns)
            self._held = None
            self._books.due += 1
            if turn is None:
                self._books.dropped += 1
                continue
            self._in_flight += 1
            turn.set((due_ns, position))

    def faster(self, factor: float, at_s: int) -> None:
        """See `Engine.faster`."""
        self._pace = self._pace.faster(factor, at_s)
        self._times.change(self._pace, at_s * 10**9)
        if self._held is not None and self._held[0] > at_s * 10**9:
            self._picks = itertools.chain([self._held[1]], self._picks)
            self._held = None

    def end(self, now_ns: int) -> None:
        """Stop handing out passes, and end `run`. Passes that are due by now and have no user are dropped."""
        while (held := self._next()) is not None and held[0] <= now_ns:
            self._held = None
            self._books.due += 1
            self._books.dropped += 1

    def _next(self) -> tuple[int, int] | None:
        if self._held is None and (due_ns := next(self._times, None)) is not None:
            self._held = due_ns, next(self._picks)
        return self._held

    def _next_free(self, due_ns: int, now_ns: Callable[[], int]) -> Turn | None:
        """The turn of a free user; None when none came in time. After the end of the load nothing waits any more."""
        patience_ns = self._patience_ns
        if patience_ns is not None and now_ns() - due_ns > patience_ns + LATE_NS:
            return None  # the generator itself was too late
        until_ns = self._end_ns if patience_ns is None else min(self._end_ns, due_ns + patience_ns)
        while True:
            while self._free and self._in_flight < self._most:
                turn = self._free.popleft()
                if not turn.ready():  # else its user was stopped meanwhile
                    return turn
            left_ns = until_ns - now_ns()
            if left_ns <= 0:
                return None
            self._freed.clear()
            self._freed.wait(left_ns / 1e9)
