"""`socket_user`: TCP and UDP on gevent sockets, a connection for each step, or one that is kept."""

from __future__ import annotations

import gevent
import gevent.socket
import gevent.ssl

from loadflow.engine.base.counted import counted
from loadflow.engine.protocols.running.connecting import SOCKET_ERRORS, open_connection, stirs
from loadflow.engine.protocols.running.message_reply import MessageReply
from loadflow.engine.protocols.running.seam import HitFailure, UserProtocol
from loadflow.engine.protocols.running.time_limit import within
from loadflow.engine.protocols.running.tls_stream import Socket
from loadflow.engine.protocols.running.turns import Turns
from loadflow.engine.protocols.socket.framing import Framing
from loadflow.engine.protocols.socket.request import SocketRequest, SocketStep
from loadflow.engine.records.outcome import Outcome

__all__ = ["SOCKET", "SocketClient"]

BLOCK_BYTES = 65_536


class _Connection:
    """`buffer` is what came and belongs to no answer yet: a greeting, or the next message of a stream."""

    __slots__ = ("_stirs", "buffer", "received", "socket")

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.buffer = bytearray()
        self.received = 0  # bytes of this step
        self._stirs = stirs(socket)

    def is_closed(self, most_bytes: int) -> bool:
        """Whether the peer closed the connection while no step read; data that it sent before stays in the buffer, up to a bound."""
        turns = Turns()
        while len(self.buffer) <= most_bytes and self._stirs():
            self.socket.settimeout(0.0)
            try:
                block = self.socket.recv(BLOCK_BYTES)
            except (gevent.ssl.SSLWantReadError, BlockingIOError, TimeoutError):  # a part of a TLS record
                return False
            except OSError:
                return True
            finally:
                self.socket.settimeout(None)
            if not block:
                return True
            self.buffer += block
            turns.taken()
        return False


class SocketClient:
    """One virtual user's connections."""

    def __init__(self, max_body_bytes: int) -> None:
        self._max_body_bytes = max_body_bytes
        self._kept: dict[tuple[object, ...], _Connection] = {}

    def perform(self, request: SocketRequest) -> MessageReply:
        """Raises HitFailure; socket errors pass through for the protocol's table. After any failure the connection is closed."""
        connection: _Connection | None = None
        keep = False
        try:
            with within(request.timeout_s, lambda: _too_late(request, connection)):
                connection = self._connected(request)
                reply = self._exchange(connection, request)
            keep = request.keep
            return reply
        finally:
            if connection is not None and not keep:
                connection.socket.close()
            elif connection is not None:
                self._kept[_key(request)] = connection

    def close(self) -> None:
        for connection in self._kept.values():
            connection.socket.close()
        self._kept.clear()

    def _connected(self, request: SocketRequest) -> _Connection:
        """Taken out of the kept ones: it comes back when its step went well."""
        connection = self._kept.pop(_key(request), None) if request.keep else None
        if connection is None:
            if request.udp:
                return _Connection(_udp_socket(request.host, request.port))
            return _Connection(open_connection(request.host, request.port, request.timeout_s, request.tls))
        connection.received = 0
        if not request.udp and connection.is_closed(self._max_body_bytes):
            connection.socket.close()
            raise HitFailure(Outcome.CLOSED, "the peer closed the kept connection; the next step connects anew")
        return connection

    def _exchange(self, connection: _Connection, request: SocketRequest) -> MessageReply:
        if request.udp:
            connection.socket.send(request.data)
            answer = self._datagrams(connection, request) if request.reads else None
        else:
            connection.socket.sendall(request.data)
            answer = self._stream(connection, request) if request.reads else None
        reply = MessageReply(answer, sent_bytes=len(request.data), received_bytes=connection.received)
        if answer is not None and request.expected not in answer:
            raise HitFailure(Outcome.ASSERTION, f"expected {request.expected.decode()!r} in response", reply)
        return reply

    def _datagrams(self, connection: _Connection, request: SocketRequest) -> bytes:
        """The next one; where only a text is waited for, the next one with it."""
        turns = Turns()
        while True:
            datagram: bytes = connection.socket.recv(BLOCK_BYTES)
            connection.received += len(datagram)
            if request.framing is not None or request.expected in datagram:
                return datagram
            turns.taken()

    def _stream(self, connection: _Connection, request: SocketRequest) -> bytes:
        """One message, as its framing says; without one all that comes until the expected text is there."""
        buffer, framing = connection.buffer, request.framing
        turns = Turns()
        seen = 0
        while True:
            found = _cut(buffer, framing, request.expected, seen)
            if found is not None:
                start, end, after = found
                message = bytes(buffer[start:end])
                del buffer[:after]
                return message
            if (len(buffer) if framing is None else framing.needs(buffer)) > self._max_body_bytes:
                text = f"the answer is over max_body_bytes ({self._max_body_bytes:,})"
                raise HitFailure(Outcome.TOO_LARGE, text, MessageReply(bytes(buffer), received_bytes=connection.received))
            seen = len(buffer)
            block = connection.socket.recv(BLOCK_BYTES)
            if not block:
                partial = MessageReply(bytes(buffer), sent_bytes=len(request.data), received_bytes=connection.received)
                raise HitFailure(Outcome.CLOSED, f"the peer closed after {counted(seen, 'byte')}, before the answer was whole", partial)
            connection.received += len(block)
            buffer += block
            turns.taken()


def _cut(buffer: bytearray, framing: Framing | None, expected: bytes, seen: int) -> tuple[int, int, int] | None:
    if framing is not None:
        return framing.cut(buffer, seen)
    return (0, len(buffer), len(buffer)) if buffer.find(expected, max(0, seen - len(expected) + 1)) >= 0 else None


def _too_late(request: SocketRequest, connection: _Connection | None) -> str:
    if connection is None:
        return f"not connected within {request.timeout_s:g} s"
    what = "the answer was not whole" if request.framing is not None else f"no {request.expected.decode()!r} came"
    return f"{what if request.reads else 'not sent'} within {request.timeout_s:g} s; {counted(connection.received, 'byte')} received"


def _key(request: SocketRequest) -> tuple[object, ...]:
    return request.udp, request.host, request.port, request.tls


def _udp_socket(host: str, port: int) -> Socket:
    """A connected UDP socket, so that a refused port is reported, and datagrams from other peers are not taken for the answer."""
    family, kind, protocol, _, address = gevent.socket.getaddrinfo(host, port, type=gevent.socket.SOCK_DGRAM)[0]
    made = gevent.socket.socket(family, kind, protocol)
    try:
        made.connect(address)
    except BaseException:
        made.close()
        raise
    connected: Socket = made
    return connected


SOCKET = UserProtocol(
    user="socket_user",
    prepare=SocketStep,
    new_client=lambda user: SocketClient(user.plan.max_body_bytes),
    errors=SOCKET_ERRORS,
    fails=lambda reply: None,
)
