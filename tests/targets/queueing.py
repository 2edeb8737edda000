"""A real server with a known answer: so many slots, each of which serves one request at a time, and a line before them (M/M/c or M/D/c)."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

__all__ = ["QueueingServer", "queueing_server"]

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class QueueingServer:
    """Serves HTTP on loopback. `service_s`: the mean time of one request in its slot, which may change while the server runs.

    Due times count from the end of the request before, not from when a timer fired: timers that are late slow nobody down.
    """

    def __init__(self, slots: int, service_s: float, *, random: bool, seed: int = 1) -> None:
        self.slots, self.service_s, self.random = slots, service_s, random
        self.port = 0
        self.served = 0
        self._generator = np.random.default_rng(seed)
        self._free_at_s = [0.0] * slots
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await asyncio.sleep(max(0.0, self._done_at_s() - time.monotonic()))
                self.served += 1
                writer.write(ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()

    def _done_at_s(self) -> float:
        """When the request that came now is served: by the slot that is free first."""
        slot = min(range(self.slots), key=self._free_at_s.__getitem__)
        took_s = float(self._generator.exponential(self.service_s)) if self.random else self.service_s
        self._free_at_s[slot] = max(time.monotonic(), self._free_at_s[slot]) + took_s
        return self._free_at_s[slot]


@contextmanager
def queueing_server(slots: int, service_s: float, *, random: bool = True) -> Iterator[QueueingServer]:
    server = QueueingServer(slots, service_s, random=random)
    try:
        yield server
    finally:
        server.close()
