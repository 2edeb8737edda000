"""Lets other users run: code that reads from a peer must return to the event loop, even if the peer never stops sending."""

from __future__ import annotations

import time

import gevent

__all__ = ["Turns"]

READS = 16  # blocks of 64 KiB in one go
TURN_S = 0.01
PAUSE_S = 0.0001  # not 0: gevent takes up to a thousand greenlets that only let go before it looks at timers and sockets


class Turns:
    """Of one reader. A read that finds data there does not wait, so a peer that always has more would keep the loop for itself."""

    __slots__ = ("_reads", "_until_s")

    def __init__(self) -> None:
        self._reads = 0
        self._until_s = time.monotonic() + TURN_S

    def taken(self) -> None:
        """To be called after each read."""
        self._reads += 1
        if self._reads >= READS or time.monotonic() >= self._until_s:
            gevent.sleep(PAUSE_S)
            self._reads = 0
            self._until_s = time.monotonic() + TURN_S
