"""`websocket_user`: one connection per user, made when a step first needs it and again after it was lost."""

from __future__ import annotations

from collections.abc import Callable

import gevent

from loadflow.engine.protocols.http.cookies import cookies_of
from loadflow.engine.protocols.running.connecting import SOCKET_ERRORS
from loadflow.engine.protocols.running.correlation import Correlations
from loadflow.engine.protocols.running.message_reply import MessageReply
from loadflow.engine.protocols.running.seam import HitFailure, UserContext, UserProtocol
from loadflow.engine.protocols.running.time_limit import within
from loadflow.engine.protocols.websocket.connection import Message, WebSocketConnection
from loadflow.engine.protocols.websocket.request import (
    WebSocketRequest,
    WebSocketStep,
    WebSocketTarget,
    key_at,
    receives,
    reply_paths,
    target_of,
)
from loadflow.engine.records.outcome import Outcome

__all__ = ["WEBSOCKET", "WebSocketClient"]

UNFINISHED = (Outcome.UNFINISHED, "not answered before the end of the load")


class WebSocketClient:
    """One virtual user's connection, and the answers it still waits for."""

    def __init__(self, user: UserContext) -> None:
        plan = user.plan
        self._max_body_bytes = plan.max_body_bytes
        self._cookies = cookies_of(user)
        self._connection: WebSocketConnection | None = None
        self._target = target_of("", plan.host, {}) if plan.host is not None else None
        self._correlations = Correlations(WebSocketStep.method, user.watch, _after)
        self._reply_paths = reply_paths(plan)
        self._keeps = receives(plan)

    def perform(self, request: WebSocketRequest) -> MessageReply:
        """Raises HitFailure; socket errors pass through for the protocol's table."""
        try:
            with within(request.timeout_s, lambda: self._late(request)):
                return ACTIONS[request.method](self, request)
        except OSError:
            failure = self._connection.failure if self._connection is not None else None
            self._drop()
            if failure is not None:  # it ended while this step was sending
                raise HitFailure(*failure) from None
            raise
        finally:
            if self._connection is not None and self._connection.told:
                self._drop()

    def _late(self, request: WebSocketRequest) -> str:
        what = LATE["connect" if self._connection is None and request.method != "close" else request.method]
        if request.method != "recv":
            # half a frame may be sent, and a late answer would be taken for the next one's
            self._drop()
        return f"{what} within {request.timeout_s:g} s"

    def close(self) -> None:
        self._drop(UNFINISHED)

    def _connect(self, request: WebSocketRequest) -> MessageReply:
        connection = self._connection
        if connection is not None and connection.failure is not None and connection.ended_normally:
            self._drop()  # it was over as it should be, and this step asks for a new one
        self._open(request)
        return MessageReply()

    def _send(self, request: WebSocketRequest) -> MessageReply:
        connection = self._open(request)
        awaited = request.awaited
        if awaited is None:
            connection.send(request.data)
        else:
            self._correlations.expect(awaited.key, awaited.name, awaited.timeout_s)
            try:
                connection.send(request.data)
            except BaseException:
                self._correlations.forget(awaited.key)
                raise
        return MessageReply(sent_bytes=_size(request.data))

    def _receive(self, request: WebSocketRequest) -> MessageReply:
        connection = self._connection
        # what came before the end can still be received, by a step that means this connection
        if connection is None or not connection.has_messages() or connection.target.url != self._wanted(request.target).url:
            connection = self._open(request)
        message, size_bytes = connection.next_message()
        return _expected(request, MessageReply(message, received_bytes=size_bytes))

    def _send_receive(self, request: WebSocketRequest) -> MessageReply:
        connection = self._open(request)
        before = connection.arrived
        connection.send(request.data)
        message, size_bytes = connection.next_message(after=before)
        return _expected(request, MessageReply(message, sent_bytes=_size(request.data), received_bytes=size_bytes))

    def _ping(self, request: WebSocketRequest) -> MessageReply:
        data = request.data.encode() if isinstance(request.data, str) else request.data
        self._open(request).ping(data)
        return MessageReply(sent_bytes=len(data), received_bytes=len(data))

    def _close(self, request: WebSocketRequest) -> MessageReply:
        """Closing what is not open, or what the peer closed in good order, changes nothing."""
        connection, self._connection = self._connection, None
        if connection is None or (connection.failure is not None and connection.ended_normally):
            return MessageReply()
        try:
            connection.close()
        finally:
            connection.abort()
            self._correlations.fail_all((Outcome.CLOSED, "the user closed the connection before the answer came"))
        return MessageReply()

    def _open(self, request: WebSocketRequest) -> WebSocketConnection:
        """The open connection, or a new one; raises HitFailure, once, where the open one turns out to be closed.

        How the connection to another URL ended says nothing of this one.
        """
        connection = self._connection
        target = self._wanted(request.target)
        if connection is not None and connection.target.url == target.url:
            connection.refuse_closed()
            return connection
        self._drop()
        self._target = target
        self._connection = WebSocketConnection(
            target, request.timeout_s, self._max_body_bytes, self._answers, self._cookies, keeps=self._keeps
        )
        return self._connection

    def _wanted(self, target: WebSocketTarget | None) -> WebSocketTarget:
        """A step that gives no more than the URL, or not even that, means the last connection with all that belongs to it."""
        last = self._target
        if target is None and last is None:
            raise HitFailure(Outcome.TEMPLATE, "no step before this one says where to connect to; set request_url or host")
        if target is None or (last is not None and not target.has_url and last.url != target.url):
            assert last is not None
            return last
        return last if last is not None and last.url == target.url and not target.has_options else target

    def _answers(self, message: Message, size_bytes: int) -> bool:
        if not len(self._correlations):
            return False
        keys = (key_at(message, path) for path in self._reply_paths)
        return any(key is not None and self._correlations.answered(key, size_bytes) for key in keys)

    def _drop(self, failure: tuple[Outcome, str] = (Outcome.CLOSED, "the connection ended before the answer came")) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
        self._correlations.fail_all(failure)


ACTIONS: dict[str, Callable[[WebSocketClient, WebSocketRequest], MessageReply]] = {
    "connect": WebSocketClient._connect,
    "send": WebSocketClient._send,
    "recv": WebSocketClient._receive,
    "sendrecv": WebSocketClient._send_receive,
    "ping": WebSocketClient._ping,
    "close": WebSocketClient._close,
}
LATE = {
    "connect": "not connected",
    "send": "not sent",
    "recv": "no message came",
    "sendrecv": "no message came",
    "ping": "no pong came",
    "close": "the peer did not close",
}


def _expected(request: WebSocketRequest, reply: MessageReply) -> MessageReply:
    if request.expect not in reply.text():
        raise HitFailure(Outcome.ASSERTION, f"expected {request.expect!r} in response", reply)
    return reply


def _size(data: Message) -> int:
    return len(data.encode()) if isinstance(data, str) else len(data)


def _after(seconds: float, call: Callable[[], None]) -> Callable[[], None]:
    """By a timer of the loop, not a greenlet each: a user may wait for thousands of answers."""
    timer = gevent.get_hub().loop.timer(seconds)
    timer.start(call)

    def stop() -> None:
        timer.stop()
        timer.close()

    return stop


WEBSOCKET = UserProtocol(
    user="websocket_user",
    prepare=WebSocketStep,
    new_client=WebSocketClient,
    errors=SOCKET_ERRORS,
    fails=lambda reply: None,
)
