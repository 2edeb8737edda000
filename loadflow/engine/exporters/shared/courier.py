"""Carries what an exporter sends to a server: a bounded queue, a thread, retries; what can't be delivered is counted."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from loadflow.engine.exporters.shared.trouble import Refused, Unreachable

__all__ = ["Courier", "Delivery"]

log = logging.getLogger("loadflow.exporters")
T = TypeVar("T")
FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """Counts of the items by outcome; `waiting` are in the queue. Their sum is the number of all items given."""

    delivered: int
    dropped: int
    waiting: int


class Courier(Generic[T]):
    """`put` never waits. `deliver` is called on the courier's thread with the oldest things, at most `batch` of them, in order.

    It raises Unreachable or Refused with a text that may be logged; it must end in bounded time. When the queue is full the oldest
    things are dropped: the newest say more about how things are.
    """

    def __init__(self, what: str, deliver: Callable[[Sequence[T]], None], *, queue: int, batch: int) -> None:
        self._what = what
        self._deliver = deliver
        self._limit = queue
        self._batch = batch
        self._things: deque[T] = deque()
        self._in_hand: list[T] = []  # being delivered: one batch beside the queue
        self._delivered = 0
        self._dropped = 0
        self._news = threading.Condition()
        self._end_at_s: float | None = None  # monotonic; None: not closing
        self._closed = False
        self._full = False  # once was enough
        self._complained = ""
        self._thread = threading.Thread(target=self._work, name=f"loadflow-{what}", daemon=True)
        self._thread.start()

    def put(self, things: Iterable[T]) -> None:
        with self._news:
            if self._end_at_s is not None:
                return
            self._things.extend(things)
            self._shorten()
            self._news.notify_all()

    def so_far(self) -> Delivery:
        with self._news:
            return Delivery(self._delivered, self._dropped, len(self._things) + len(self._in_hand))

    def close(self, timeout_s: float) -> Delivery:
        """Deliver what is waiting, for at most about `timeout_s`; what is left then is dropped, counted and told."""
        with self._news:
            if self._end_at_s is None:
                self._end_at_s = time.monotonic() + timeout_s
                self._news.notify_all()
        self._thread.join(timeout_s)
        with self._news:
            if not self._closed:
                self._closed = True
                self._dropped += len(self._things) + len(self._in_hand)
                if self._dropped:
                    log.warning("%s: %d of %d were not delivered", self._what, self._dropped, self._dropped + self._delivered)
            return Delivery(self._delivered, self._dropped, 0)

    def _work(self) -> None:
        wait_s = FIRST_WAIT_S
        while batch := self._take():
            try:
                self._deliver(batch)
            except Unreachable as error:
                self._complain(str(error))
                self._put_back()
                self._rest(max(wait_s, error.wait_s))
                wait_s = min(wait_s * 2, LONGEST_WAIT_S)
                continue
            except Refused as error:
                lost = len(batch) if error.lost is None else min(error.lost, len(batch))
                self._complain(str(error))
                self._account(lost)
            except Exception as error:  # noqa: BLE001  the thread's outermost loop: without it everything would pile up in silence
                self._complain(f"{type(error).__name__}; please report it")
                self._account(len(batch))
            else:
                self._account(0)
                if self._complained:
                    log.info("%s: delivered again", self._what)
                    self._complained = ""
            wait_s = FIRST_WAIT_S

    def _take(self) -> list[T]:
        """What to deliver next; empty when all is over."""
        with self._news:
            self._news.wait_for(lambda: self._things or self._end_at_s is not None)
            if self._end_at_s is not None and time.monotonic() >= self._end_at_s:
                return []
            self._in_hand = [self._things.popleft() for _ in range(min(self._batch, len(self._things)))]
            return self._in_hand

    def _put_back(self) -> None:
        """What was in hand is the oldest of the queue again."""
        with self._news:
            if not self._closed:
                self._things.extendleft(reversed(self._in_hand))
                self._in_hand = []
                self._shorten()

    def _account(self, lost: int) -> None:
        """What was in hand is done with; `lost` did not arrive."""
        with self._news:
            if not self._closed:
                self._delivered += len(self._in_hand) - lost
                self._dropped += lost
                self._in_hand = []

    def _shorten(self) -> None:
        over = len(self._things) - self._limit
        for _ in range(over):
            self._things.popleft()
            self._dropped += 1
        if over > 0 and not self._full:
            self._full = True
            log.warning("%s: its queue of %d is full; the oldest are dropped", self._what, self._limit)

    def _rest(self, wait_s: float) -> None:
        """Until it is worth another try: a script that ends does not wait for the long pauses."""
        with self._news:
            if self._end_at_s is None and self._news.wait_for(lambda: self._end_at_s is not None, wait_s):
                return
            if self._end_at_s is not None:
                self._news.wait_for(lambda: False, max(0.0, min(FIRST_WAIT_S, self._end_at_s - time.monotonic())))

    def _complain(self, text: str) -> None:
        """Once for each kind of trouble, not once a second."""
        if text != self._complained:
            self._complained = text
            log.warning("%s: %s", self._what, text)
