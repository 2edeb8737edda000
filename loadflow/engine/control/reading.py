"""Large requests are read on a thread of their own, one after the other, so that no other client waits while one is parsed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

__all__ = ["LARGE_BYTES", "Reader"]

LARGE_BYTES = 16 * 1024  # what is smaller is read at once: under a millisecond


class Reader:
    """Does what it is given, in order, on a daemon thread that starts with the first of it."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def do(self, job: Callable[[], None]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="loadflow-control-reader", daemon=True)
            self._thread.start()
        self._jobs.put(job)

    def close(self) -> None:
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
