"""A process that answers at once, but stands still for one second; prints its URL, and what it counted once its stdin ends.

The second begins 2.5 s after the first request. Not on a whole second: tools whose connections all send at once, every second,
would miss it or meet it whole, by luck.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time

FREEZE_FROM_S, FREEZE_TO_S = 2.5, 3.5
ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 46\r\n\r\n{"ok": true, "id": 12345, "name": "benchmark"}\n'


class Target:
    def __init__(self) -> None:
        self.counted = 0
        self._first_s: float | None = None

    def met(self, requests: int) -> None:
        """Blocks the whole process while it is frozen."""
        now_s = time.monotonic()
        if self._first_s is None:
            self._first_s = now_s
        self.counted += requests
        into_s = now_s - self._first_s
        if FREEZE_FROM_S <= into_s < FREEZE_TO_S:
            time.sleep(FREEZE_TO_S - into_s)


class Connection(asyncio.Protocol):
    def __init__(self, target: Target) -> None:
        self._target = target
        self._kept = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Requests have no bodies here: each ends with an empty line."""
        *heads, self._kept = (self._kept + data).split(b"\r\n\r\n")
        if heads and self._transport is not None:
            self._target.met(len(heads))
            self._transport.write(ANSWER * len(heads))


async def serve() -> None:
    target, over, loop = Target(), asyncio.Event(), asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(target), "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(over.set)), daemon=True).start()
    await over.wait()
    print(target.counted, flush=True)


if __name__ == "__main__":
    asyncio.run(serve())
