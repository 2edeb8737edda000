"""A recording HTTP/2 server: the routes of the recording target over the `h2` package, and faults of its own below /h2/.

What clients send is checked by that package (RFC 9113): a request that breaks a rule is in `mistakes`, not in the records.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, PingAckReceived, RequestReceived, SettingsAcknowledged, StreamEnded, StreamReset
from h2.exceptions import H2Error, StreamClosedError
from h2.settings import SettingCodes

from tests.targets.fixture import Record
from tests.targets.http2_faults import EARLY, FAULTS
from tests.targets.routes import Answer, Routes
from tests.targets.wire import Request

__all__ = ["Connection", "Http2Target"]

NEVER_S = 60.0


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


class Connection:
    """One client; `number` counts them. Runs in a thread of its own until either side ends it."""

    def __init__(self, target: Http2Target, sock: socket.socket, number: int) -> None:
        self.target = target
        self.sock = sock
        self.number = number
        self.open = True
        self.streams: dict[int, Stream] = {}
        self.due: deque[int] = deque()
        self.held: list[int] = []  # requests that wait for others
        self.have_met = False
        self.given_up: set[int] = set()
        self.acks: Counter[str] = Counter()
        config = H2Configuration(
            client_side=False, header_encoding="latin-1", validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.h2 = H2Connection(config)

    def run(self) -> None:
        with contextlib.suppress(OSError), contextlib.closing(self.sock):
            self.h2.initiate_connection()
            self.h2.update_settings(dict(self.target.settings))
            self.flush()
            while self.open and self.pump(NEVER_S):
                while self.open and self.due:
                    with contextlib.suppress(StreamClosedError):  # the client gave it up meanwhile
                        self._answer(self.due.popleft())

    def flush(self) -> None:
        self.sock.sendall(self.h2.data_to_send())

    def raw(self, *frames: bytes) -> None:
        """Bytes that the package would not send."""
        self.flush()
        self.sock.sendall(b"".join(frames))

    def pump(self, timeout_s: float) -> bool:
        """Takes what comes next, within the time; False: the client is gone."""
        self.sock.settimeout(timeout_s)
        try:
            data = self.sock.recv(65536)
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(NEVER_S)
        if not data:
            self.open = False
            return False
        try:
            events = self.h2.receive_data(data)
        except H2Error as error:
            self.target.mistakes.append(repr(error))
            self.flush()
            self.open = False
            return False
        for event in events:
            self._take(event)
        self.flush()
        return True

    def wait(self, seconds: float) -> bool:
        """Lets the time pass; False: the client did not wait."""
        until = time.monotonic() + seconds
        while self.open and (left := until - time.monotonic()) > 0:
            self.pump(left)
        return self.open

    def _take(self, event: Event) -> None:
        match event:
            case RequestReceived(stream_id=int(number), headers=list(headers)):
                self.target.most_at_once = max(self.target.most_at_once, self.h2.open_inbound_streams)
                self.streams[number] = stream = Stream([(str(name), str(value)) for name, value in headers])
                if self.target.settings.get(SettingCodes.INITIAL_WINDOW_SIZE) == 0:
                    self.h2.increment_flow_control_window(5_000, number)
                if stream.path in EARLY:
                    self._record(stream)
                    EARLY[stream.path](self, number)
            case DataReceived(stream_id=int(number), data=bytes(data), flow_controlled_length=int(length)):
                self.streams[number].body += data
                with contextlib.suppress(StreamClosedError):
                    self.h2.acknowledge_received_data(length, number)
            case StreamEnded(stream_id=int(number)) if self.streams[number].path not in EARLY:
                self._record(self.streams[number])
                self.due.append(number)
            case StreamReset(stream_id=int(number), error_code=code):
                self.given_up.add(number)
                self.target.resets.append(int(code or 0))
            case PingAckReceived() | SettingsAcknowledged():
                self.acks[type(event).__name__] += 1

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
            return self.flush() if self.open else None
        request = Request(stream.header(":method"), stream.header(":path"), stream.fields(), True, bytes(stream.body))
        self._translate(number, self.target.routes.answer(request), stream.header(":method") == "HEAD")
        return None

    def _translate(self, number: int, answer: Answer, is_head: bool) -> None:
        """An answer of HTTP/1.1, as HTTP/2 says it."""
        head = b""
        chunked = False
        for delay_s, piece in answer.pieces:
            if delay_s and not self.wait(delay_s):
                return
            if b"\r\n\r\n" not in head:
                head += piece
                if not head.startswith(b"HTTP/1.1 "):
                    self.raw(head)
                if not head.startswith(b"HTTP/1.1 ") or b"\r\n\r\n" not in head:
                    continue
                lines, piece = head.split(b"\r\n\r\n", 1)
                first, *fields = lines.decode("latin-1").split("\r\n")
                named = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in fields)]
                chunked = ("transfer-encoding", "chunked") in named
                kept = [(name, value) for name, value in named if name not in ("connection", "transfer-encoding")]
                self.h2.send_headers(number, [(":status", first.split(" ")[1]), *kept])
            self.send(number, _unchunked(piece) if chunked and piece else piece)
        if answer.then == "cut":
            self.flush()
            self.open = False
        elif self.open:
            self.h2.end_stream(number)
            if answer.then == "close":
                self.h2.close_connection()
            self.flush()
            self.open = answer.then == "keep"

    def send(self, number: int, body: bytes) -> None:
        """As much as the client's windows allow, then the rest when it has said more."""
        while body and self.open and number not in self.given_up:
            room = min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size, len(body))
            if room:
                self.h2.send_data(number, body[:room])
                body = body[room:]
                self.flush()
            else:
                self.pump(NEVER_S)


def _unchunked(text: bytes) -> bytes:
    body = b""
    while (size := int(text.partition(b"\r\n")[0], 16)) > 0:
        text = text.partition(b"\r\n")[2]
        body, text = body + text[:size], text[size + 2 :]
    return body


class Http2Target:
    """`with Http2Target() as target:` gives a server on a free port, without TLS unless a context is given."""

    def __init__(self, tls: ssl.SSLContext | None = None, settings: Mapping[SettingCodes, int] | None = None) -> None:
        self.settings = settings or {}
        self.routes = Routes()
        self.mistakes: list[str] = []
        self.resets: list[int] = []  # RST_STREAM of clients
        self.counters: Counter[str] = Counter()  # what faults count
        self.most_at_once = 0  # requests under way on one connection
        self.left = threading.Event()  # the test is over
        self._records: list[Record] = []
        self._lock = threading.Lock()
        self._tls = tls
        self._opened = 0
        self._socks: list[socket.socket] = []

    def __enter__(self) -> Http2Target:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.left.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self._opened += 1
                threading.Thread(target=self._serve, args=(sock, self._opened), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            try:
                sock = self._tls.wrap_socket(sock, server_side=True)
            except OSError:
                return sock.close()
        self._socks.append(sock)
        return Connection(self, sock, number).run()

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
        return self._opened

    def reset(self) -> None:
        with self._lock:
            self._records.clear()
        self.routes.reset()
        self.mistakes.clear()
        self.resets.clear()
        self.counters.clear()
        self.most_at_once = 0
