"""Takes connections over HTTP, no more than there may be, TLS handshakes included; and ends those that take too long."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING

from loadflow.engine.control.limits import Limits
from loadflow.engine.control.web.protocol import LINGER_S, BoundedProtocol, refusal

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["Door"]

log = logging.getLogger("loadflow.control")

NO_FILES_LEFT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
NO_FILES_PAUSE_S = 0.5
TEND_S = 0.25
HEAD_BYTES = 16 * 1024


class Door:
    """All methods are for the event loop's thread. `open` begins, `shut` takes no further clients, `clear` ends those there are."""

    def __init__(self, app: ASGIApp, limits: Limits, tls: ssl.SSLContext | None) -> None:
        import uvicorn
        from uvicorn.server import ServerState

        self._limits = limits
        self._tls = tls
        self._config = uvicorn.Config(
            app,
            http=BoundedProtocol,
            interface="asgi3",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=HEAD_BYTES,
        )
        self._config.load()
        self._state = ServerState()
        self._here: set[BoundedProtocol] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepting: list[asyncio.Task[None]] = []

    @property
    def clients(self) -> int:
        return len(self._here)

    def open(self, listeners: Sequence[socket.socket]) -> None:
        self._accepting = [asyncio.create_task(self._accept(one)) for one in listeners]
        self._begin(self._tend())

    def shut(self) -> None:
        for task in self._accepting:
            task.cancel()

    async def clear(self, within_s: float) -> None:
        """Let answers that are being given end, within `within_s`."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + within_s
        for one in list(self._here):
            one.end()
        while self._here and loop.time() < until_s:
            await asyncio.sleep(0.02)
        for one in list(self._here):
            if one.transport is not None:
                one.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._accepting, *self._state.tasks, return_exceptions=True)

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, address = await loop.sock_accept(listener)
            except ConnectionError:
                continue
            except OSError as error:
                if error.errno not in NO_FILES_LEFT:
                    raise
                log.warning("can't accept a connection now: %s", error)
                await asyncio.sleep(NO_FILES_PAUSE_S)
                continue
            if len(self._here) >= self._limits.connections:
                self._turn_away(sock, str(address[0]))
                continue
            protocol = BoundedProtocol(self._config, self._state, self._limits, self._here.discard)
            self._here.add(protocol)
            self._begin(self._welcome(sock, protocol))

    async def _welcome(self, sock: socket.socket, protocol: BoundedProtocol) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        tls = {"ssl_handshake_timeout": self._limits.handshake_s, "ssl_shutdown_timeout": LINGER_S} if self._tls else {}
        try:
            await loop.connect_accepted_socket(lambda: protocol, sock, ssl=self._tls, **tls)
        except (OSError, TimeoutError) as error:  # SSLError is an OSError
            log.info("no TLS handshake: %s", error)
            self._here.discard(protocol)
            sock.close()

    def _turn_away(self, sock: socket.socket, address: str) -> None:
        text = f"{self._limits.connections} clients are connected already; try again later"
        log.warning("%s: turned away, %s", address, text)
        with contextlib.suppress(OSError):
            if self._tls is None:
                sock.send(refusal("503 Service Unavailable", text))
                sock.shutdown(socket.SHUT_WR)
        sock.close()

    async def _tend(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(TEND_S, self._limits.read_s / 4, self._limits.write_s / 4))
            for one in list(self._here):
                one.tend(loop.time())
