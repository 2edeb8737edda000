"""A recording HTTP/3 server: the routes of the recording target over aioquic, and faults of its own below /h3/.

What clients send is checked by that package (RFC 9114): a connection that it ends for a broken rule is in `mistakes`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import QuicServer
from aioquic.h3.connection import H3_ALPN, ErrorCode, H3Connection
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, QuicEvent, StopSendingReceived, StreamReset

from tests.targets.fixture import Record
from tests.targets.http3_faults import EARLY, FAULTS, goaway
from tests.targets.routes import Answer, Routes
from tests.targets.wire import Request

__all__ = ["Connection", "Http3Target"]


@dataclass
class Stream:
    headers: list[tuple[str, str]]
    body: bytearray = field(default_factory=bytearray)

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")

    @property
    def path(self) -> str:
        return self.header(":path").partition("?")[0]

    def fields(self) -> list[tuple[str, str]]:
        return [("Host", self.header(":authority")), *((name, value) for name, value in self.headers if not name.startswith(":"))]


class Connection(QuicConnectionProtocol):
    """One client; `number` counts them."""

    def __init__(self, *args: Any, target: Http3Target, **more: Any) -> None:
        super().__init__(*args, **more)
        self.target = target
        self.http: H3Connection | None = None
        self.number = 0
        self.open = True
        self.streams: dict[int, Stream] = {}
        self.held: list[int] = []  # requests that wait for others
        self.have_met = False
        self.given_up: set[int] = set()
        self.closed_by_us = False

    @property
    def quic(self) -> Any:
        return self._quic

    def quic_event_received(self, event: QuicEvent) -> None:
        if self.http is None:
            self.target.opened += 1
            self.number = self.target.opened
            self.http = H3Connection(self._quic)
        match event:
            case StreamReset(stream_id=number, error_code=code):
                self.given_up.add(number)
                self.target.resets.append(code)
            case StopSendingReceived(stream_id=number, error_code=code):
                self.given_up.add(number)
                self.target.stops.append(code)
            case ConnectionTerminated(error_code=code, reason_phrase=reason):
                self.open = False
                self.target.ends.append(code)
                if not self.closed_by_us and code not in (0, ErrorCode.H3_NO_ERROR):
                    self.target.mistakes.append(f"{code:#x} {reason}")
        for one in self.http.handle_event(event):
            self._take(one)

    def _take(self, event: H3Event) -> None:
        number = getattr(event, "stream_id", -1)
        match event:
            case HeadersReceived(headers=headers) if number not in self.streams:
                self.streams[number] = stream = Stream([(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers])
                under_way = len(self.streams) - self.target.ended[self.number]
                self.target.most_at_once = max(self.target.most_at_once, under_way)
                if stream.path in EARLY:
                    self._record(stream)
                    EARLY[stream.path](self, number)
            case DataReceived(data=data):
                self.streams[number].body += data
        if getattr(event, "stream_ended", False) and self.streams[number].path not in EARLY:
            self._record(self.streams[number])
            self._answer(number)

    def _record(self, stream: Stream) -> None:
        record = Record(
            time.monotonic_ns(), self.number, stream.header(":method"), stream.header(":path"), tuple(stream.fields()), bytes(stream.body)
        )
        self.target.add(record)

    def _answer(self, number: int) -> None:
        stream = self.streams[number]
        fault = FAULTS.get(stream.path)
        if fault is not None:
            if "after=" in stream.header(":path"):  # not before as many are there
                self.held.append(number)
                if len(self.held) < int(stream.header(":path").partition("after=")[2]):
                    return None
                self.held.clear()
            fault(self, number)
            return self.transmit()
        request = Request(stream.header(":method"), stream.header(":path"), stream.fields(), True, bytes(stream.body))
        answer = self.target.routes.answer(request)
        asyncio.get_running_loop().create_task(self._translate(number, answer, request.method == "HEAD"))
        return None

    async def _translate(self, number: int, answer: Answer, is_head: bool) -> None:
        """An answer of HTTP/1.1, as HTTP/3 says it."""
        head = b""
        chunked = False
        for delay_s, piece in answer.pieces:
            if delay_s:
                await asyncio.sleep(delay_s)
            if not self.open or number in self.given_up:
                return self.ended()
            if b"\r\n\r\n" not in head:
                head += piece
                if not head.startswith(b"HTTP/1.1 "):
                    self.raw(number, head)
                if not head.startswith(b"HTTP/1.1 ") or b"\r\n\r\n" not in head:
                    continue
                lines, piece = head.split(b"\r\n\r\n", 1)
                first, *fields = lines.decode("latin-1").split("\r\n")
                named = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in fields)]
                chunked = ("transfer-encoding", "chunked") in named
                kept = [(name, value) for name, value in named if name not in ("connection", "transfer-encoding")]
                self.head(number, [(":status", first.split(" ")[1]), *kept])
            self.data(number, _unchunked(piece) if chunked and piece else piece)
            self.transmit()
        if answer.then == "cut":
            return self.cut()
        if answer.then == "close":
            goaway(self, number + 4)
        self.end(number)
        self.transmit()
        self.ended()
        if answer.then == "close":
            self.cut()
        return None

    def ended(self) -> None:
        self.target.ended[self.number] += 1

    def head(self, number: int, fields: list[tuple[str, str]], *, ends: bool = False) -> None:
        assert self.http is not None
        self.http.send_headers(number, [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields], ends)

    def data(self, number: int, body: bytes, *, ends: bool = False) -> None:
        assert self.http is not None
        if body or ends:
            self.http.send_data(number, body, ends)

    def end(self, number: int) -> None:
        self.quic.send_stream_data(number, b"", True)

    def raw(self, number: int, bytes_: bytes, *, ends: bool = False) -> None:
        """Bytes that the package would not send."""
        self.quic.send_stream_data(number, bytes_, ends)

    def cut(self, code: int = ErrorCode.H3_NO_ERROR) -> None:
        """The connection ends, behind what was sent."""
        self.transmit()
        self.open, self.closed_by_us = False, True
        self.quic.close(error_code=code)
        self.transmit()


def _unchunked(text: bytes) -> bytes:
    body = b""
    while (size := int(text.partition(b"\r\n")[0], 16)) > 0:
        text = text.partition(b"\r\n")[2]
        body, text = body + text[:size], text[size + 2 :]
    return body


class Http3Target:
    """`with Http3Target((certificate, key)) as target:` gives a server on a free port; PEM files.

    `tickets`: how it gets and keeps TLS sessions.
    """

    def __init__(
        self,
        pem: tuple[Path, Path],
        *,
        alpn: list[str] | None = None,
        retry: bool = False,
        tickets: tuple[Any, Any] | None = None,
        **settings: Any,
    ) -> None:
        self.routes = Routes()
        self.mistakes: list[str] = []
        self.resets: list[int] = []  # RESET_STREAM and STOP_SENDING of clients
        self.stops: list[int] = []
        self.ends: list[int] = []  # with which codes connections ended
        self.counters: Counter[str] = Counter()  # what faults count
        self.ended: Counter[int] = Counter()  # answers by connection
        self.most_at_once = 0  # requests under way on one connection
        self.opened = 0
        self._records: list[Record] = []
        self._lock = threading.Lock()
        self._retry = retry
        self._tickets = tickets
        self._configuration = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN if alpn is None else alpn, **settings)
        self._configuration.load_cert_chain(*pem)

    def __enter__(self) -> Http3Target:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self.port = self._sock.getsockname()[1]
        self.url = f"https://127.0.0.1:{self.port}"
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve(ready)), daemon=True)
        self._thread.start()
        ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self, ready: threading.Event) -> None:
        def connect(*args: Any, **more: Any) -> Connection:
            return Connection(*args, target=self, **more)

        def server() -> QuicServer:
            fetch, keep = self._tickets or (None, None)
            return QuicServer(
                configuration=self._configuration,
                create_protocol=connect,
                retry=self._retry,
                session_ticket_fetcher=fetch,
                session_ticket_handler=keep,
            )

        transport, _ = await self._loop.create_datagram_endpoint(server, sock=self._sock)
        ready.set()
        await self._stop.wait()
        for task in _others():
            task.cancel()
        transport.close()

    def add(self, record: Record) -> None:
        with self._lock:
            self._records.append(record)

    def records(self, path: str | None = None) -> list[Record]:
        with self._lock:
            return [record for record in self._records if path in (None, record.path)]

    def counts(self) -> dict[str, int]:
        return dict(Counter(record.path for record in self.records()))

    def connections(self) -> int:
        """How many were ever opened."""
        return self.opened

    def reset(self) -> None:
        with self._lock:
            self._records.clear()
        self.routes.reset()
        for one in (self.mistakes, self.resets, self.stops, self.ends):
            one.clear()
        self.counters.clear()
        self.most_at_once = 0


def _others() -> Iterator[asyncio.Task[Any]]:
    with contextlib.suppress(RuntimeError):
        yield from asyncio.all_tasks() - {asyncio.current_task()}
