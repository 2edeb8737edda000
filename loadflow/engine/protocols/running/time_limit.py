"""The time limit of a hit, or of a part of it: one way for all protocols that run on gevent."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

import gevent

from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.records.outcome import Outcome

__all__ = ["within"]


class within:  # reads as the statement that it is
    """`with within(seconds, late):` ends its block when `seconds` have passed, with a HitFailure of outcome timeout.

    `late` is called once, then, and gives the failure's message. Limits may be nested: each ends its own block only.
    """

    __slots__ = ("_late", "_seconds", "_timer")

    def __init__(self, seconds: float, late: Callable[[], str]) -> None:
        self._seconds = seconds
        self._late = late

    def __enter__(self) -> None:
        self._timer = gevent.Timeout.start_new(self._seconds)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._timer.close()
        if error is self._timer:
            raise HitFailure(Outcome.TIMEOUT, self._late()) from None
