"""One client's connection over HTTP: uvicorn's, with an end to every wait.

uvicorn waits for ever for a client's first byte, for the rest of a request, and for a client that does not read its answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from uvicorn.config import Config
    from uvicorn.server import ServerState

    from loadflow.engine.control.limits import Limits

__all__ = ["BoundedProtocol", "refusal"]

LINGER_S = 1.0  # for the client to read the last answer


def refusal(status: str, text: str) -> bytes:
    """A whole answer, after which the connection is closed.

    >>> refusal("503 Service Unavailable", "busy").splitlines()[0]
    b'HTTP/1.1 503 Service Unavailable'
    """
    body = f"{text}\n".encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


class BoundedProtocol(H11Protocol):
    """`gone` is called once, when the connection is over. `tend` is to be called several times a second."""

    def __init__(self, config: Config, state: ServerState, limits: Limits, gone: Callable[[BoundedProtocol], None]) -> None:
        super().__init__(config=config, server_state=state, app_state={})
        self._limits = limits
        self._gone = gone
        self._asking_s: float | None = None  # since when we wait for a whole request
        self._stuck_s: float | None = None  # since when the client has taken nothing of what waits for it
        self._closing_s: float | None = None
        self._waiting_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._asking_s = self.loop.time()
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._gone(self)

    def handle_events(self) -> None:
        super().handle_events()
        if self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body:
            self._asking_s = None

    def on_response_complete(self) -> None:
        self._asking_s = self.loop.time()
        super().on_response_complete()

    def timeout_keep_alive_handler(self) -> None:
        """The end of an idle connection is in `tend`, which also ends one whose next request drips."""

    def tend(self, now_s: float) -> None:
        """End what has taken too long."""
        if self.transport is None:  # the TLS handshake goes on, which has a limit of its own
            return
        waiting = self.transport.get_write_buffer_size()
        if waiting == 0 or waiting < self._waiting_bytes:
            self._stuck_s = None
        elif self._stuck_s is None:
            self._stuck_s = now_s
        self._waiting_bytes = waiting
        if self.transport.is_closing():
            self._closing_s = now_s if self._closing_s is None else self._closing_s
            if waiting == 0 and now_s >= self._closing_s + LINGER_S:
                self.transport.abort()
        elif self._asking_s is not None and now_s >= self._asking_s + self._limits.read_s:
            self._asking_s = None
            if self.cycle is None or self.cycle.response_complete:
                self.transport.write(refusal("408 Request Timeout", "no whole request in time"))
                self.transport.close()
            else:
                self.transport.abort()
        if self._stuck_s is not None and now_s >= self._stuck_s + self._limits.write_s:
            self.transport.abort()

    def end(self) -> None:
        """Close once the answer that is being given is given."""
        if self.transport is None:
            return
        self.shutdown()

    @property
    def at_rest(self) -> bool:
        """Whether no answer is owed."""
        return self.cycle is None or bool(self.cycle.response_complete)
