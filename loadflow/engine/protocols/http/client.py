"""`fast_http_user` and `http_user`: HTTP/1.1 on gevent sockets with geventhttpclient's parser, one kept connection per user and origin.

A request is the prepared bytes of its step, with at most a Cookie field added; nothing is sent twice behind the script's
back. A connection that the server closed while it was idle is found out before the next request is written.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Sequence
from dataclasses import replace

from geventhttpclient.response import HTTPParseError, HTTPProtocolViolationError, HTTPResponse

from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.proxies import Proxy
from loadflow.engine.protocols.http.answer_reader import MAX_HEAD_BYTES, AnswerReader, phrase_of
from loadflow.engine.protocols.http.cookies import Cookies, cookies_of
from loadflow.engine.protocols.http.dialing import Dialer
from loadflow.engine.protocols.http.digest import Challenge, challenge_in
from loadflow.engine.protocols.http.events import EventStream
from loadflow.engine.protocols.http.redirects import follow
from loadflow.engine.protocols.http.reply import HttpReply, reply_of, status_failure
from loadflow.engine.protocols.http.request import HttpRequest, HttpStep, field_bytes
from loadflow.engine.protocols.http.tunnel import name_of, no_credentials, whole_url_head
from loadflow.engine.protocols.running.connecting import SOCKET_ERRORS, stirs
from loadflow.engine.protocols.running.endless import refuse_endless
from loadflow.engine.protocols.running.seam import HitFailure, Traffic, UserProtocol
from loadflow.engine.protocols.running.tls_stream import Socket
from loadflow.engine.protocols.running.turns import Turns
from loadflow.engine.records.outcome import Outcome

__all__ = ["FAST_HTTP", "HTTP", "HttpClient"]

BLOCK_BYTES = 65_536


class _Parser(HTTPResponse):  # type: ignore[misc]  # geventhttpclient is compiled
    """Collects a body up to a limit."""

    def __init__(self, method: str, max_body_bytes: int) -> None:
        super().__init__(method)
        self.body = bytearray()
        self.too_large = False
        self.has_more = False  # bytes after the answer that belong to no request
        self.has_interim = False  # an answer that is not the final one came before it
        self._left = max_body_bytes

    def _on_message_begin(self) -> None:
        if self.message_complete and self._is_final:
            self.has_more = True
            raise HTTPProtocolViolationError("more than one answer")
        super()._on_message_begin()

    def _on_message_complete(self) -> None:
        self._is_final = self.get_code() >= 200
        self.has_interim |= not self._is_final
        super()._on_message_complete()

    def _on_body(self, part: bytes) -> None:
        self._left -= len(part)
        if self._left < 0:
            self.too_large = True
        else:
            self.body += part


class _Connection:
    """`is_dead`: whether the peer closed it, or said something unasked, since its last answer: nothing is due then. `proxy`: its peer, as
    far as that is asked for whole URLs."""

    __slots__ = ("is_dead", "proxy", "socket")

    def __init__(self, socket: Socket, proxy: Proxy | None) -> None:
        self.socket = socket
        self.proxy = proxy
        self.is_dead = stirs(socket)


class HttpClient:
    """One virtual user's connections and cookies."""

    def __init__(self, plan: Plan, cookies: Cookies | None = None) -> None:
        self.traffic = Traffic()
        self._max_body_bytes = plan.max_body_bytes
        self._connections: dict[tuple[object, ...], _Connection] = {}
        self._cookies = Cookies() if cookies is None else cookies
        self._plan = plan
        self._keeps = plan.connections.kept != "per_request"
        self._dialer = Dialer(plan)
        self._more: list[HttpClient] = []
        self._challenges: dict[tuple[object, ...], Challenge] = {}  # the last of each place
        self._mark_ns = 0  # since when the request is sent

    def at_once(self, count: int) -> list[HttpClient]:
        """So many clients for requests that are sent at once, this one first: all have one jar, and connections of their own."""
        while len(self._more) < count - 1:
            self._more.append(HttpClient(self._plan, self._cookies))
        return [self, *self._more[: count - 1]]

    def perform(self, request: HttpRequest) -> HttpReply:
        """Raises HitFailure; socket errors pass through for the protocol's table."""
        return follow(request, self.traffic, self._exchange if request.digest is None else self._challenged)

    def pass_ends(self) -> None:
        if self._plan.connections.kept == "per_pass":
            self.close()

    def close(self) -> None:
        for more in self._more:
            more.close()
        for key in list(self._connections):
            self._hang_up(key)

    def _hang_up(self, key: tuple[object, ...]) -> None:
        self._dialer.hang_up(self._connections.pop(key).socket, key)

    def _challenged(self, request: HttpRequest) -> HttpReply:
        """As `_exchange`, with the answer to the server's challenge of Digest: to an earlier one at once, else once it asks."""
        place = _key(request)
        known = self._challenges.get(place)
        reply = self._exchange(request if known is None else _answering(request, known))
        if reply.status != 401:
            return reply
        try:
            asked = challenge_in(reply.header_lines("www-authenticate"))
        except HitFailure as failure:
            raise HitFailure(failure.outcome, str(failure), reply) from None
        if asked is None or (known is not None and asked.nonce == known.nonce):
            return reply
        self._challenges[place] = asked
        return self._exchange(_answering(request, asked))

    def _exchange(self, request: HttpRequest) -> HttpReply:
        """One request, one answer. After any failure its connection is closed: it is not known to be between two messages."""
        key = _key(request)
        self.traffic.timings.first_byte_ns = 0
        self._mark_ns = time.monotonic_ns()
        connection = self._connections.get(key)
        if connection is None or connection.is_dead():
            if connection is not None:
                self._hang_up(key)
            connection = self._connections[key] = _Connection(*self._dialer.dial(request, key, self.traffic.timings))
            self._mark_ns = time.monotonic_ns()
        try:
            reply, keep = self._ask(connection, request)
        except BaseException:
            self._hang_up(key)
            raise
        if not keep:
            self._hang_up(key)
        return reply

    def _ask(self, connection: _Connection, request: HttpRequest) -> tuple[HttpReply, bool]:
        """The answer, and whether the connection can be used again."""
        cookies = self._cookies.header_for(request)
        own = request.head if connection.proxy is None else whole_url_head(request, connection.proxy)
        head = own + b"Cookie: " + field_bytes(cookies) + b"\r\n\r\n" if cookies else own + b"\r\n"
        data = head + request.body if request.body else head
        self._send(connection, data)
        reply, keeps = self._reply(self._receive(connection, request), request)
        if connection.proxy is not None and reply.status == 407:
            failure = no_credentials(name_of(connection.proxy), reply.reason)
            raise HitFailure(failure.outcome, str(failure), reply)
        return reply, keeps and not request.closes and self._keeps

    def _reply(self, parser: _Parser | AnswerReader, request: HttpRequest) -> tuple[HttpReply, bool]:
        """What was read as an answer, and whether its connection lives on."""
        if isinstance(parser, AnswerReader):
            self._cookies.store(request, parser.fields)
            return reply_of(parser, request, self._max_body_bytes), parser.keeps
        fields = parser.info()
        if "set-cookie" in fields:
            self._cookies.store(request, fields.items())
        reply = HttpReply(
            parser.get_code(),
            phrase_of(parser.status_message or ""),
            fields,
            parser.body,
            url=request.url,
            sent_bytes=0,
            received_bytes=0,
            max_body_bytes=self._max_body_bytes,
        )
        if parser.too_large:
            raise HitFailure(Outcome.TOO_LARGE, f"the body is over max_body_bytes ({self._max_body_bytes:,})", reply)
        return reply, not parser.should_close()

    def _send(self, connection: _Connection, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left:
                count = connection.socket.send(left)
                self.traffic.sent_bytes += count
                left = left[count:]
        except OSError as error:
            # the server may have answered early and closed: its answer says more than our broken pipe
            if error.errno not in (errno.EPIPE, errno.ECONNRESET):
                raise
        self.traffic.timings.send_ns += time.monotonic_ns() - self._mark_ns

    def _receive(self, connection: _Connection, request: HttpRequest) -> _Parser | AnswerReader:
        """Read until the message is complete."""
        if request.stream is not None:
            return self._receive_events(connection, AnswerReader(request.method, self._max_body_bytes), EventStream(request.stream))
        parser = _Parser(request.method, self._max_body_bytes)
        turns = Turns()
        received = 0
        blocks: list[bytes] = []
        while True:
            blocks.append(block := connection.socket.recv(BLOCK_BYTES))
            if len(blocks) == 1 and block:
                self.traffic.timings.first_byte_ns = time.monotonic_ns()
            self.traffic.received_bytes += len(block)
            if len(blocks) == 1 and block[:1] in (b"\r", b"\n"):
                return self._read_again(connection, request, blocks)  # the parser would skip lines that have no end as ours
            try:
                parser.feed(block)
            except HTTPParseError:
                # the end of the stream is no error of the protocol where the body has no other end; here it had
                if not parser.has_more:
                    return self._read_again(connection, request, blocks)
            if not block or parser.has_interim:
                return self._read_again(connection, request, blocks)
            if parser.message_complete:
                codings = parser.get("transfer-encoding")
                if codings is not None and (codings != "chunked" or blocks[0].startswith(b"HTTP/1.0")):
                    return self._read_again(connection, request, blocks)  # the parser looks at no other coding
                return parser
            if parser.too_large:
                return parser
            if not parser.headers_complete and received > MAX_HEAD_BYTES:
                raise HitFailure(Outcome.PROTOCOL, f"over {MAX_HEAD_BYTES:,} bytes of header fields")
            received += len(block)
            refuse_endless(received, len(parser.body))
            turns.taken()

    def _receive_events(self, connection: _Connection, reader: AnswerReader, stream: EventStream) -> AnswerReader:
        """Read until the message is complete, or the last event that is wanted came."""
        turns = Turns()
        is_whole = False
        while not is_whole:
            block = connection.socket.recv(BLOCK_BYTES)
            if block and not self.traffic.timings.first_byte_ns:
                self.traffic.timings.first_byte_ns = time.monotonic_ns()
            self.traffic.received_bytes += len(block)
            is_whole = reader.feed(block) if block else True
            if not block:
                reader.ended()
            fields = {name.lower(): value for name, value in reader.fields}
            ended = is_whole and not reader.is_too_large
            for tokens, size in stream.take(reader.status, fields, reader.body, is_whole=ended):
                if self.traffic.on_event is not None:
                    self.traffic.on_event(tokens, size)
            if stream.is_over:
                reader.keeps = reader.keeps and is_whole
                break
            turns.taken()
        self.traffic.lacks = stream.failure
        return reader

    def _read_again(self, connection: _Connection, request: HttpRequest, blocks: Sequence[bytes]) -> AnswerReader:
        """By the reader that says what is right and wrong, where the parser found a fault in what came so far."""
        reader = AnswerReader(request.method, self._max_body_bytes)
        for block in blocks:
            if reader.feed(block):
                return reader
        turns = Turns()
        block = blocks[-1]
        while block:
            block = connection.socket.recv(BLOCK_BYTES)
            self.traffic.received_bytes += len(block)
            if reader.feed(block):
                return reader
            turns.taken()
        reader.ended()
        return reader


def _answering(request: HttpRequest, challenge: Challenge) -> HttpRequest:
    if request.digest is None:
        return request
    answer = challenge.answer(request.digest, request.method, request.target, request.body)
    return request.with_field("authorization", answer) or request


def _key(request: HttpRequest) -> tuple[object, ...]:
    """What requests over one connection have in common."""
    return request.scheme, request.host, request.port, request.verify, request.cert, request.sni


HTTP = UserProtocol(
    user="http_user",
    prepare=HttpStep,
    new_client=lambda user: HttpClient(user.plan, cookies_of(user)),
    errors=((HTTPParseError, Outcome.PROTOCOL), *SOCKET_ERRORS),
    fails=status_failure,
    traffic=lambda client: client.traffic,
    at_once=HttpClient.at_once,
    pass_ends=HttpClient.pass_ends,
)
FAST_HTTP = replace(HTTP, user="fast_http_user")
