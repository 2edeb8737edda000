"""`fast_http_user`: HTTP/1.1 on gevent sockets with geventhttpclient's parser, one kept connection per user and origin.

A request is the prepared bytes of its step, with at most a Cookie field added; nothing is sent twice behind the script's
back. A connection that the server closed while it was idle is found out before the next request is written.
"""

from __future__ import annotations

import errno
from typing import Any

from geventhttpclient.response import HTTPParseError, HTTPProtocolViolationError, HTTPResponse

from loadflow.engine.load.connecting import SOCKET_ERRORS, open_connection, stirs
from loadflow.engine.load.cookies import Cookies
from loadflow.engine.load.http_reply import HttpReply, status_failure
from loadflow.engine.load.http_request import HttpRequest, HttpStep, field_bytes
from loadflow.engine.load.protocol import HitFailure, UserProtocol
from loadflow.engine.load.redirects import follow
from loadflow.engine.plan.plan import Plan
from loadflow.engine.records.outcome import Outcome

__all__ = ["FAST_HTTP", "FastHttpClient"]

BLOCK_BYTES = 65_536
MAX_HEAD_BYTES = 256 * 1024


class _Parser(HTTPResponse):  # type: ignore[misc]  # geventhttpclient is compiled
    """Collects a body up to a limit."""

    def __init__(self, method: str, max_body_bytes: int) -> None:
        super().__init__(method)
        self.body = bytearray()
        self.too_large = False
        self.has_more = False  # bytes behind the answer that nobody asked for
        self._left = max_body_bytes

    def _on_message_begin(self) -> None:
        if self.message_complete and self._is_final:
            self.has_more = True
            raise HTTPProtocolViolationError("more than one answer")
        super()._on_message_begin()

    def _on_message_complete(self) -> None:
        self._is_final = self.get_code() >= 200
        super()._on_message_complete()

    def _on_body(self, part: bytes) -> None:
        self._left -= len(part)
        if self._left < 0:
            self.too_large = True
        else:
            self.body += part


class _Connection:
    """`is_dead`: whether the peer closed it, or said something unasked, since its last answer: nothing is due then."""

    __slots__ = ("is_dead", "socket")

    def __init__(self, socket: Any) -> None:
        self.socket = socket
        self.is_dead = stirs(socket)


class FastHttpClient:
    """One virtual user's connections and cookies."""

    def __init__(self, plan: Plan) -> None:
        self._max_body_bytes = plan.max_body_bytes
        self._connections: dict[tuple[Any, ...], _Connection] = {}
        self._cookies = Cookies()

    def perform(self, request: HttpRequest) -> HttpReply:
        """Raises HitFailure; socket errors pass through for the protocol's table."""
        return follow(request, self._exchange)

    def close(self) -> None:
        for connection in self._connections.values():
            connection.socket.close()
        self._connections.clear()

    def _exchange(self, request: HttpRequest) -> HttpReply:
        """One request, one answer. After any failure its connection is closed: it is not known to be between two messages."""
        key = _key(request)
        connection = self._connections.get(key)
        if connection is None or connection.is_dead():
            if connection is not None:
                connection.socket.close()
                del self._connections[key]
            connection = self._connections[key] = self._connect(request)
        try:
            reply, keep = self._ask(connection, request)
        except BaseException:
            connection.socket.close()
            del self._connections[key]
            raise
        if not keep:
            connection.socket.close()
            del self._connections[key]
        return reply

    def _ask(self, connection: _Connection, request: HttpRequest) -> tuple[HttpReply, bool]:
        """The answer, and whether the connection can be used again."""
        cookies = self._cookies.header_for(request)
        head = request.head + b"Cookie: " + field_bytes(cookies) + b"\r\n\r\n" if cookies else request.head + b"\r\n"
        data = head + request.body if request.body else head
        parser, received = self._converse(connection, request, data)
        fields = parser.info()
        if "set-cookie" in fields:
            self._cookies.store(request, fields.items())
        reply = HttpReply(
            parser.get_code(),
            parser.status_message or "",
            fields,
            parser.body,
            url=request.url,
            sent_bytes=len(data),
            received_bytes=received,
            max_body_bytes=self._max_body_bytes,
        )
        if parser.too_large:
            raise HitFailure(Outcome.TOO_LARGE, f"the body is over max_body_bytes ({self._max_body_bytes:,})", reply)
        return reply, not parser.should_close()

    def _converse(self, connection: _Connection, request: HttpRequest, data: bytes) -> tuple[_Parser, int]:
        """Send, then read until the message is complete."""
        parser = _Parser(request.method, self._max_body_bytes)
        received = 0
        try:
            connection.socket.sendall(data)
        except OSError as error:
            # the server may have answered early and closed: its answer says more than our broken pipe
            if error.errno not in (errno.EPIPE, errno.ECONNRESET):
                raise
        while True:
            block = connection.socket.recv(BLOCK_BYTES)
            received += len(block)
            try:
                parser.feed(block)
            except HTTPParseError:
                if parser.has_more:
                    return parser, received
                if block:
                    raise
                # the end of the stream is no error of the protocol where the body has no other end; here it had
            if parser.message_complete:
                status = parser.get_code()
                if status >= 200:
                    return parser, received
                if status < 100:
                    raise HitFailure(Outcome.PROTOCOL, f"status {status}")
            if not block:
                what = "the body was whole" if parser.headers_complete else "an answer" if received == 0 else "the header fields were whole"
                raise HitFailure(Outcome.CLOSED, f"the connection was closed before {what}")
            if parser.too_large:
                return parser, received
            if not parser.headers_complete and received > MAX_HEAD_BYTES:
                raise HitFailure(Outcome.PROTOCOL, f"over {MAX_HEAD_BYTES:,} bytes of header fields")

    def _connect(self, request: HttpRequest) -> _Connection:
        tls = (request.verify, request.cert) if request.scheme == "https" else None
        return _Connection(open_connection(request.host, request.port, request.connect_timeout_s, tls))


def _key(request: HttpRequest) -> tuple[Any, ...]:
    return request.scheme, request.host, request.port, request.verify, request.cert


FAST_HTTP = UserProtocol(
    user="fast_http_user",
    prepare=HttpStep,
    new_client=lambda user: FastHttpClient(user.plan),
    errors=((HTTPParseError, Outcome.PROTOCOL), *SOCKET_ERRORS),
    fails=status_failure,
)
