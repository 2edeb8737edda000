"""Sends running totals again and again: what one sending misses, the next one has."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from loadflow.engine.exporters.shared.trouble import Refused, Unreachable

__all__ = ["Repeated", "Repeater"]

log = logging.getLogger("loadflow.exporters")
AGAIN_S = 0.25  # between the tries at the end


@dataclass(frozen=True, slots=True)
class Repeated:
    """`complete`: the last counts arrived."""

    sent: int
    failed: int
    complete: bool


class Repeater:
    """Calls `send` on a thread of its own every `interval_s`, when `version` has grown since, and at the end.

    `send` raises Unreachable or Refused with a text that may be logged; it must end in bounded time.
    """

    def __init__(self, what: str, send: Callable[[], None], version: Callable[[], int], interval_s: float) -> None:
        self._what = what
        self._send = send
        self._version = version
        self._interval_s = interval_s
        self._sent = 0
        self._failed = 0
        self._told = version()
        self._trouble = ""
        self._refused = False
        self._end_at_s = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"loadflow-{what}", daemon=True)
        self._thread.start()

    def so_far(self) -> Repeated:
        return Repeated(self._sent, self._failed, self._told == self._version())

    def close(self, timeout_s: float) -> Repeated:
        """Send what was not sent, trying again for at most about `timeout_s`; says in the log when that was not enough."""
        if not self._over.is_set():
            self._end_at_s = time.monotonic() + timeout_s
            self._over.set()
        self._thread.join(timeout_s)
        result = self.so_far()
        if not result.complete:
            log.warning("%s: the last counts could not be sent", self._what)
        return result

    def _work(self) -> None:
        while not self._over.wait(self._interval_s):
            self._once()
        self._once()
        while self._told != self._version() and not self._refused and time.monotonic() + AGAIN_S < self._end_at_s:
            time.sleep(AGAIN_S)
            self._once()

    def _once(self) -> None:
        version = self._version()
        if version == self._told:
            return
        try:
            self._send()
        except (Unreachable, Refused) as error:
            self._complain(str(error), again=isinstance(error, Unreachable))
        except Exception as error:  # noqa: BLE001  the thread's outermost loop: without it nothing would be sent, in silence
            self._complain(f"{type(error).__name__}; please report it", again=False)
        else:
            self._sent += 1
            self._told = version
            self._trouble = ""

    def _complain(self, text: str, *, again: bool) -> None:
        self._failed += 1
        self._refused = not again
        if text != self._trouble:
            self._trouble = text
            log.warning("%s: %s", self._what, text)
