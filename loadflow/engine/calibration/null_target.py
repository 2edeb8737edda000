"""A server that gives every request the same small answer: `python -P -m loadflow.engine.calibration.null_target`.

It says its port, and serves until its standard input ends. The core has it in Rust; where that is not built, asyncio does it,
which answers fewer requests than the core could send, but more than Locust does.
"""

from __future__ import annotations

import asyncio
import sys

__all__ = ["main", "serve"]

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
HEAD_END = b"\r\n\r\n"


def main() -> None:
    try:
        from loadflow._native import NullTarget
    except ImportError:
        asyncio.run(serve())
        return
    target = NullTarget()
    print(target.port, "native", flush=True)
    target.serve()


class _Peer(asyncio.Protocol):
    def __init__(self) -> None:
        self._tail = b""  # of a head that is not whole yet

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        data = self._tail + data
        self._transport.write(ANSWER * data.count(HEAD_END))
        self._tail = data.rpartition(HEAD_END)[2]


class _Lifeline(asyncio.Protocol):
    def __init__(self) -> None:
        self.cut = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        self.cut.set()


async def serve() -> None:
    loop = asyncio.get_running_loop()
    _, lifeline = await loop.connect_read_pipe(_Lifeline, sys.stdin)
    async with await loop.create_server(_Peer, "127.0.0.1", 0) as server:
        print(server.sockets[0].getsockname()[1], "asyncio", flush=True)
        await lifeline.cut.wait()


if __name__ == "__main__":
    main()
