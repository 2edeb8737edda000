"""Peers that run in a thread of the test: an asyncio loop that starts servers on free ports and keeps what they received."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import trustme

__all__ = ["Authority", "Loop", "running_loop"]

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Loop:
    """An event loop in a thread; everything that was started on it ends with it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._ends: list[Callable[[], Any]] = []
        self._handling: set[Any] = set()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def tcp(self, handler: Handler, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> int:
        """The port of a new TCP server, which closes a connection when its handler returns."""

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._handling.add(asyncio.current_task())  # the loop alone lets a task be collected, which resets its connection
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
                await handler(reader, writer)
            writer.close()

        server = self.run(asyncio.start_server(handle, host, 0, ssl=tls))
        self.at_end(server.close)
        return int(server.sockets[0].getsockname()[1])

    def udp(self, answer: Callable[[bytes], list[bytes]], *, host: str = "127.0.0.1") -> int:
        """The port of a new UDP server that sends the given datagrams back for each that comes."""

        class Answering(asyncio.DatagramProtocol):
            def connection_made(self, transport: Any) -> None:
                self.transport = transport

            def datagram_received(self, data: bytes, address: Any) -> None:
                for one in answer(data):
                    self.transport.sendto(one, address)

        transport, _ = self.run(self._loop.create_datagram_endpoint(Answering, local_addr=(host, 0)))
        self.at_end(transport.close)
        return int(transport.get_extra_info("sockname")[1])

    def at_end(self, end: Callable[[], Any]) -> None:
        self._ends.append(end)

    def stop(self) -> None:
        async def all_ends() -> None:
            for end in reversed(self._ends):
                end()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self.run(all_ends())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@contextlib.contextmanager
def running_loop() -> Iterator[Loop]:
    loop = Loop()
    try:
        yield loop
    finally:
        loop.stop()


class Authority:
    """A certificate authority of the test's own: `ca` is its file, `server()` the context of a server for localhost."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self.ca = str(folder / "ca.pem")
        self._ca.cert_pem.write_to_path(self.ca)
        self.client = str(folder / "client.pem")
        self._ca.issue_cert("client@loadflow.test").private_key_and_cert_chain_pem.write_to_path(self.client)

    def server(self, *, asks_for_client: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert("localhost").configure_cert(context)
        if asks_for_client:
            self._ca.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context
