"""Passes the seconds of a load to all receivers: each second once, in order, also when the load is cut off."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from loadflow.engine.records.snapshot import Snapshot

__all__ = ["SnapshotFeed"]


class SnapshotFeed:
    """`send` may be left by an exception anywhere (Ctrl-C, a task's timeout); the next call goes on where that one was.

    A receiver that raised does not get that second again: it may have taken it.
    """

    def __init__(self, receivers: Iterable[Callable[[Snapshot], object]]) -> None:
        self._receivers = list(receivers)
        self._next = [0] * len(self._receivers)  # the second that each one is waiting for
        self._due: deque[Snapshot] = deque()

    def send(self, snapshots: Iterable[Snapshot]) -> None:
        self._due.extend(snapshots)
        while self._due:
            snapshot = self._due[0]
            for index, receive in enumerate(self._receivers):
                if self._next[index] <= snapshot.second:
                    self._next[index] = snapshot.second + 1
                    receive(snapshot)
            self._due.popleft()
