"""One WebSocket connection on a gevent socket: websockets' protocol without its I/O, read in the background.

A greenlet reads all the time, so that pings are answered and a close is seen while the user thinks. What it reads are messages;
the connection gives them to the waiting steps, in order.
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidStatus, PayloadTooBig
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from loadflow.engine.base.counted import counted
from loadflow.engine.protocols.http.cookies import Cookies
from loadflow.engine.protocols.running.connecting import open_connection
from loadflow.engine.protocols.running.endless import MOST_BESIDE_BYTES, is_endless
from loadflow.engine.protocols.running.error_words import error_words
from loadflow.engine.protocols.running.message_reply import MessageReply
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.protocols.running.turns import Turns
from loadflow.engine.protocols.websocket.request import WebSocketTarget
from loadflow.engine.records.outcome import Outcome

__all__ = ["Message", "WebSocketConnection"]

BLOCK_BYTES = 65_536
PIECE_BYTES = 2_048  # holds a thousand empty frames, each of which takes Python some 10 µs
MOST_FRAGMENTS = 65_536  # of one message; each takes some 10 µs
MOST_FRAMES = 65_536  # between two messages; an empty one takes two bytes, and as long as any other
MOST_WAITING = 1_000  # messages that came and that no step received
NORMAL_CLOSE = (1000, 1001)

Message = str | bytes
OnMessage = Callable[[Message, int], bool]


class WebSocketConnection:
    """`failure` is why it can't be used any more, None while it can; `told`: a step has failed for it. `arrived`: messages for steps.

    `on_message` is asked first about each message and its size; True: it was not meant for a step.
    """

    def __init__(
        self,
        target: WebSocketTarget,
        limit_s: float,
        max_body_bytes: int,
        on_message: OnMessage,
        cookies: Cookies,
        *,
        keeps: bool,
    ) -> None:
        self.target = target
        self.failure: tuple[Outcome, str] | None = None
        self.ended_normally = False
        self.told = False
        self.arrived = 0
        self._max_body_bytes = max_body_bytes
        self._on_message = on_message
        self._cookies = cookies
        self._keeps = keeps
        self._inbox: deque[tuple[Message, int]] = deque()
        self._inbox_bytes = 0
        self._lost = 0  # messages pushed out of the inbox since the last failure that said so
        self._pongs: set[bytes] = set()
        self._parts: list[Any] = []
        self._part_bytes = 0
        self._beside = 0  # bytes since the last whole message
        self._frames = 0  # frames since then
        self._turns = Turns()
        self._is_text = True
        self._changed = Event()
        self._sending = BoundedSemaphore()
        self._socket = open_connection(target.host, target.port, limit_s, target.tls if target.secure else None)
        self._protocol = _protocol(target, max_body_bytes)
        try:
            self._shake_hands()
        except BaseException:
            self._socket.close()
            raise
        self._reader = gevent.spawn(self._read)

    def send(self, data: Message) -> None:
        """Raises OSError, or HitFailure where the connection ended meanwhile."""
        self.refuse_closed()
        if isinstance(data, str):
            self._protocol.send_text(data.encode())
        else:
            self._protocol.send_binary(data)
        self._flush()

    def next_message(self, after: int | None = None) -> tuple[Message, int]:
        """The next message and its size in bytes: the oldest that no step received, or the first one after the first `after` messages.

        Waits for it; raises HitFailure when the connection ends before.
        """
        while True:
            if self._lost:
                lost, self._lost = self._lost, 0
                raise HitFailure(Outcome.TOO_LARGE, f"{counted(lost, 'message')} dropped: more arrived than the steps received")
            if after is None and self._inbox:
                return self._taken(0)
            if after is not None and self.arrived > after:
                return self._taken(len(self._inbox) - (self.arrived - after))
            self._wait()

    def ping(self, data: bytes) -> None:
        """Until the pong with the same data is there."""
        self.refuse_closed()
        self._pongs.clear()
        self._protocol.send_ping(data)
        self._flush()
        while data not in self._pongs:
            self._wait()

    def close(self) -> None:
        """The closing handshake. Raises HitFailure where the peer just went."""
        self.refuse_closed()
        self._protocol.send_close(NORMAL_CLOSE[0])
        self._flush()
        while self.failure is None:
            self._changed.clear()
            self._changed.wait()
        if not self.ended_normally:
            raise HitFailure(*self.failure)

    def abort(self) -> None:
        """Say goodbye as far as that goes without waiting, and close."""
        self._reader.kill(block=False)
        try:
            if self._protocol.state is State.OPEN and self._sending.acquire(blocking=False):
                self._protocol.send_close(1001)
                self._socket.settimeout(0.0)
                self._socket.send(b"".join(self._protocol.data_to_send()))
        except OSError:
            pass
        self._end((Outcome.CLOSED, "the connection is closed"))

    def refuse_closed(self) -> None:
        """Raises HitFailure, with the reason, once the connection can't be used any more."""
        if self.failure is not None:
            self.told = True
            raise HitFailure(*self.failure)

    def has_messages(self) -> bool:
        return bool(self._inbox)

    def _wait(self) -> None:
        self.refuse_closed()
        self._changed.clear()
        self._changed.wait()

    def _flush(self) -> None:
        """Send what the protocol has to send, in whole frames: who sends also sends what others left meanwhile."""
        with self._sending:
            while pieces := self._protocol.data_to_send():
                self._socket.sendall(b"".join(pieces))

    def _shake_hands(self) -> None:
        protocol = self._protocol
        protocol.send_request(self._request())
        self._flush()
        while protocol.state is State.CONNECTING and protocol.handshake_exc is None:
            block = self._socket.recv(PIECE_BYTES)  # messages may be behind the handshake
            if block:
                protocol.receive_data(block)
            else:
                protocol.receive_eof()
            self._turns.taken()
        events = protocol.events_received()
        self._keep_cookies(events)
        if protocol.handshake_exc is not None:
            raise _no_handshake(protocol.handshake_exc)
        if self.target.subprotocols and protocol.subprotocol is None:
            raise HitFailure(Outcome.PROTOCOL, f"the server chose none of the subprotocols {', '.join(self.target.subprotocols)}")
        self._look_at(events)

    def _request(self) -> Request:
        request = self._protocol.connect()
        for name, value in self.target.headers:
            if name in request.headers:
                del request.headers[name]
            request.headers[name] = value
        if cookies := self._cookies.header_for(self.target):
            if "Cookie" in request.headers:
                del request.headers["Cookie"]
            request.headers["Cookie"] = cookies
        return request

    def _keep_cookies(self, events: Sequence[object]) -> None:
        """Those of the handshake's answer, whatever its status."""
        refused = self._protocol.handshake_exc
        answers = [refused.response] if isinstance(refused, InvalidStatus) else [one for one in events if isinstance(one, Response)]
        for answer in answers:
            self._cookies.store(self.target, answer.headers.raw_items())

    def _read(self) -> None:
        while self.failure is None:
            try:
                block = self._socket.recv(BLOCK_BYTES)
            except ssl.SSLError as error:
                self._end((Outcome.TLS, error.strerror or str(error)))
                return
            except OSError as error:
                self._end((Outcome.CLOSED, error_words(error)))
                return
            if not block:
                self._protocol.receive_eof()
                self._look_at(self._protocol.events_received())
            for at in range(0, len(block), PIECE_BYTES):
                if self.failure is None:
                    self._read_piece(block[at : at + PIECE_BYTES])
                    self._turns.taken()
                    if len(self._inbox) > MOST_WAITING // 2:
                        gevent.sleep(0)  # the step that waits for a message takes it before there are too many

    def _read_piece(self, piece: bytes) -> None:
        protocol = self._protocol
        self._beside += len(piece)
        protocol.receive_data(piece)
        self._look_at(protocol.events_received())
        held = len(protocol.reader.buffer)  # of a frame that is not whole
        if self.failure is None and is_endless(self._beside - held, self._part_bytes):
            self._end((Outcome.PROTOCOL, f"over {MOST_BESIDE_BYTES:,} bytes of frames, and no message among them"))

    def _look_at(self, events: list[Any]) -> None:
        protocol = self._protocol
        self._frames += len(events)
        for event in events:
            if isinstance(event, Frame):
                self._take(event)
        if self._frames > MOST_FRAMES:
            self._end((Outcome.PROTOCOL, f"over {MOST_FRAMES:,} frames, and no message among them"))
        if protocol.writes and self._sending.acquire(blocking=False):  # else who sends now also sends this
            self._sending.release()
            try:
                self._flush()
            except OSError as error:
                self._end((Outcome.CLOSED, error_words(error)))
        if protocol.close_rcvd is not None or protocol.parser_exc is not None or protocol.state is State.CLOSED:
            code = protocol.close_rcvd.code if protocol.close_rcvd is not None else None
            self.ended_normally = code in NORMAL_CLOSE and protocol.parser_exc is None
            self._end(_why_ended(protocol))

    def _take(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PONG:
            self._pongs.add(bytes(frame.data))
            self._changed.set()
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
        if frame.data or not self._parts:  # a server may send empty frames without end
            self._parts.append(frame.data)
            self._part_bytes += len(frame.data)
        if len(self._parts) > MOST_FRAGMENTS:
            self._end((Outcome.PROTOCOL, f"a message of more than {MOST_FRAGMENTS:,} fragments"))
            return
        if not frame.fin:
            return
        data = bytes(self._parts[0]) if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._part_bytes = self._beside = self._frames = 0
        try:
            message: Message = data.decode() if self._is_text else data
        except UnicodeDecodeError:
            self._protocol.fail(1007, "no UTF-8")  # RFC 6455 section 8.1
            self._end((Outcome.PROTOCOL, "a text message that is not UTF-8"))
            return
        if not self._on_message(message, len(data)) and self._keeps:
            self._keep(message, len(data))

    def _keep(self, message: Message, size_bytes: int) -> None:
        self._inbox.append((message, size_bytes))
        self._inbox_bytes += size_bytes
        self.arrived += 1
        while len(self._inbox) > MOST_WAITING or (self._inbox_bytes > self._max_body_bytes and len(self._inbox) > 1):
            self._taken(0)
            self._lost += 1
        self._changed.set()

    def _taken(self, index: int) -> tuple[Message, int]:
        index = max(0, index)
        message, size_bytes = self._inbox[index]
        del self._inbox[index]
        self._inbox_bytes -= size_bytes
        return message, size_bytes

    def _end(self, failure: tuple[Outcome, str]) -> None:
        if self.failure is None:
            self.failure = failure
            self._socket.close()
            self._changed.set()


def _protocol(target: WebSocketTarget, max_body_bytes: int) -> ClientProtocol:
    return ClientProtocol(
        WebSocketURI(target.secure, target.host, target.port, target.resource, ""),
        extensions=[ClientPerMessageDeflateFactory()] if target.compression else None,
        subprotocols=[Subprotocol(one) for one in target.subprotocols] or None,
        max_size=max_body_bytes,
    )


def _no_handshake(error: Exception) -> HitFailure:
    if isinstance(error, InvalidStatus):
        response = error.response
        status = response.status_code
        outcome = Outcome.STATUS if status >= 400 else Outcome.REDIRECT if 300 <= status < 400 else Outcome.PROTOCOL
        reply = MessageReply(bytes(response.body or b""), received_bytes=len(response.body or b""), status=status)
        return HitFailure(outcome, f"the handshake was answered with status {status} {response.reason_phrase}".rstrip(), reply)
    if isinstance(error.__cause__, EOFError):
        return HitFailure(Outcome.CLOSED, "the connection was closed before the handshake was answered")
    what = f": {error.__cause__}" if error.__cause__ is not None else ""
    assert isinstance(error, InvalidHandshake)
    return HitFailure(Outcome.PROTOCOL, f"no valid handshake: {error}{what}")


def _why_ended(protocol: ClientProtocol) -> tuple[Outcome, str]:
    error = protocol.parser_exc
    if isinstance(error, PayloadTooBig):
        return Outcome.TOO_LARGE, f"a message is over max_body_bytes ({protocol.max_message_size:,})"
    if error is not None and not isinstance(error, EOFError):
        return Outcome.PROTOCOL, f"no valid frame: {error}"
    if protocol.close_rcvd is not None:
        reason = f" {protocol.close_rcvd.reason}" if protocol.close_rcvd.reason else ""
        return Outcome.CLOSED, f"the peer closed with code {protocol.close_rcvd.code}{reason}"
    return Outcome.CLOSED, "the peer closed without a close frame"
