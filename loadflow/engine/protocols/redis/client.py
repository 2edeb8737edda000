"""`redis_user`: commands and replies by redis-py, over connections that are opened and bounded as those of the other users are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from redis import exceptions as redis_errors
from redis.backoff import NoBackoff
from redis.connection import Connection
from redis.retry import Retry

from loadflow.engine.protocols.redis.request import RedisRequest, RedisServer, RedisStep
from loadflow.engine.protocols.running.connecting import SOCKET_ERRORS, open_connection, stirs
from loadflow.engine.protocols.running.error_words import error_words
from loadflow.engine.protocols.running.message_reply import MessageReply
from loadflow.engine.protocols.running.seam import HitFailure, UserProtocol
from loadflow.engine.protocols.running.time_limit import within
from loadflow.engine.protocols.running.tls_stream import Socket
from loadflow.engine.protocols.running.turns import Turns
from loadflow.engine.records.outcome import Outcome

__all__ = ["REDIS", "RedisClient"]

# what redis-py raises, subclasses before their bases; an error that the server replies is `_reply`'s
REDIS_ERRORS: Sequence[tuple[type[BaseException], Outcome]] = (
    (redis_errors.AuthenticationError, Outcome.STATUS),
    (redis_errors.ResponseError, Outcome.STATUS),
    (redis_errors.InvalidResponse, Outcome.PROTOCOL),
    (redis_errors.TimeoutError, Outcome.TIMEOUT),
    (redis_errors.BusyLoadingError, Outcome.STATUS),
    (redis_errors.ConnectionError, Outcome.CLOSED),
    (redis_errors.DataError, Outcome.TEMPLATE),
    (RecursionError, Outcome.PROTOCOL),  # lists within lists without end
    (ValueError, Outcome.PROTOCOL),  # a number or a length that is none
)


class _Bounded:
    """A socket that counts what comes for a hit, and lets other users run while it comes."""

    def __init__(self, socket: Socket, most_bytes: int) -> None:
        self._socket = socket
        self._most_bytes = most_bytes
        self.stirs = stirs(socket)
        self.received = 0
        self.turns = Turns()

    def __getattr__(self, name: str) -> object:
        return getattr(self._socket, name)

    def recv(self, size: int) -> bytes:
        block: bytes = self._socket.recv(size)
        self.received += len(block)
        if self.received > self._most_bytes:
            raise HitFailure(Outcome.TOO_LARGE, f"the reply is over max_body_bytes ({self._most_bytes:,})")
        self.turns.taken()
        return block

    def recv_into(self, buffer: Any) -> int:
        block = self.recv(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    def shutdown(self, how: int) -> None:
        """Closing is enough, and a session of TLS has no other end."""


class _Connection(Connection):
    """redis-py's, with our socket: one place opens all of them, with one way to say why it could not."""

    def __init__(self, server: RedisServer, timeout_s: float, most_bytes: int) -> None:
        self.bounded: _Bounded | None = None
        self._tls, self._limit_s, self._most_bytes = server.tls, timeout_s, most_bytes
        super().__init__(
            host=server.host,
            port=server.port,
            db=server.database,
            username=server.username,
            password=server.password,
            retry=Retry(NoBackoff(), 0),
            protocol=2,  # a reply for each command, and nothing in between
            lib_name=None,  # else each connection sends two commands of its own
            lib_version=None,
        )

    def _connect(self) -> object:
        try:
            opened = open_connection(self.host, self.port, self._limit_s, self._tls)
        except OSError as error:  # redis-py would make one kind of all
            outcome = next(outcome for kind, outcome in SOCKET_ERRORS if isinstance(error, kind))
            raise HitFailure(outcome, error_words(error)) from None
        self.bounded = _Bounded(opened, self._most_bytes)
        return self.bounded


class RedisClient:
    """One virtual user's connections."""

    def __init__(self, max_body_bytes: int) -> None:
        self._max_body_bytes = max_body_bytes
        self._kept: dict[RedisServer, _Connection] = {}

    def perform(self, request: RedisRequest) -> MessageReply:
        """Raises HitFailure, or redis-py's own error. After any failure but an error that the server replied, the connection is closed."""
        connection = self._kept.pop(request.server, None)
        connected = keep = False
        try:
            with within(request.timeout_s, lambda: f"{'no reply' if connected else 'not connected'} within {request.timeout_s:g} s"):
                if connection is not None and connection.bounded is not None and connection.bounded.stirs():
                    connection.disconnect()  # it was closed meanwhile: nothing comes while nothing is asked
                    connection = None
                if connection is None:
                    connection = _Connection(request.server, request.timeout_s, self._max_body_bytes)
                    connection.connect()
                connected = True
                reply = _exchange(connection, request)
            keep = True
        finally:
            if keep and connection is not None:
                self._kept[request.server] = connection
            elif connection is not None:
                connection.disconnect()
        if isinstance(reply, HitFailure):
            raise reply
        return reply

    def close(self) -> None:
        for connection in self._kept.values():
            connection.disconnect()
        self._kept.clear()


def _exchange(connection: _Connection, request: RedisRequest) -> MessageReply | HitFailure:
    assert connection.bounded is not None
    connection.bounded.received = 0
    connection.bounded.turns = Turns()
    packed: list[bytes] = connection.pack_command(*request.words)
    connection.send_packed_command(packed, check_health=False)
    try:
        value = connection.read_response(disable_decoding=True)
    except redis_errors.ResponseError as error:
        value = error
    message = MessageReply(
        value if isinstance(value, bytes) else _json_of(value),
        sent_bytes=sum(map(len, packed)),
        received_bytes=connection.bounded.received,
    )
    trouble = _error_in(value)
    return message if trouble is None else HitFailure(Outcome.STATUS, trouble, message)


def _json_of(value: Any) -> str:
    """Numbers, null and lists as JSON; bytes in lists as text, an error in one as an object."""

    def plain(one: Any) -> Any:
        return {"error": str(one)} if isinstance(one, Exception) else bytes(one).decode("utf-8", "replace")

    return json.dumps(value, default=plain, ensure_ascii=False, separators=(",", ":"))


def _error_in(value: object) -> str | None:
    """The first error of a reply, or of the replies to the commands of a transaction."""
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, Exception):
            return str(one) or type(one).__name__
        if isinstance(one, list):
            pending.extend(reversed(one))
    return None


REDIS = UserProtocol(
    user="redis_user",
    prepare=RedisStep,
    new_client=lambda user: RedisClient(user.plan.max_body_bytes),
    errors=(*REDIS_ERRORS, *SOCKET_ERRORS),
    fails=lambda reply: None,
)
