"""The control plane: takes scripts over TCP, runs each in a session of its own, and reports how they go.

One thread serves all connections; each script has a thread more. Nothing a client does, or leaves undone, blocks the server:
sockets never wait, the TLS handshake goes in steps, and every wait has an end (see `Limits`).
"""

from __future__ import annotations

import collections
import contextlib
import errno
import logging
import math
import selectors
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Self, Unpack

from loadflow.engine.control.connection import Connection
from loadflow.engine.control.envelope import ErrorKind, Refused, error_frame
from loadflow.engine.control.hosted_server import HostedServer, ServerSettings
from loadflow.engine.control.legacy import error_answer
from loadflow.engine.control.limits import Limits
from loadflow.engine.control.listening import listen
from loadflow.engine.control.operations import Operations
from loadflow.engine.control.peer import Gone, Peer
from loadflow.engine.control.reading import LARGE_BYTES, Reader
from loadflow.engine.machine.memory import few_arenas

__all__ = ["ControlServer"]

log = logging.getLogger("loadflow.control")

NO_FILES_LEFT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
NO_FILES_PAUSE_S = 0.5


class ControlServer(HostedServer):
    """`port` 0 takes a free one; `host` and `port` then say where it listens. For the settings see `ServerSettings`.

    Raises CommandError for settings that don't go together, RunError when it can't listen.

    >>> with ControlServer(port=0, token="s3cret") as server:
    ...     server.host
    'localhost'
    """

    def __init__(self, host: str = "localhost", port: int = 9940, *, framed: bool = True, **settings: Unpack[ServerSettings]) -> None:
        super().__init__(host, port, settings, Limits())
        self.framed = framed
        self._operations = Operations(self._jobs, self._limits, self._token, post=self._post, quit=self._begin_quit)
        self._reader = Reader()
        self._read = self._operations.read if framed else self._operations.read_legacy
        self._answer_one: Callable[[Connection, Any], None] = self._operations.answer if framed else self._operations.answer_legacy
        self._listeners: list[socket.socket] = []
        self._connections: set[Connection] = set()
        self._posted: collections.deque[Callable[[], None]] = collections.deque()
        self._wake: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._quit_until_s: float | None = None
        self._paused_until_s: float | None = None

    # -- from any thread

    def start(self) -> Self:
        few_arenas()
        addresses = self.addresses()
        self._listeners, self.port = listen(addresses)
        self._selector = selectors.DefaultSelector()
        self._bell, self._wake = socket.socketpair()
        for sock in (self._bell, self._wake):
            sock.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._listen()
        self._thread = threading.Thread(target=self._serve, name="loadflow-control", daemon=True)
        self._thread.start()
        log.info("listening on %s:%s", self.host, self.port)
        return self

    def quit(self, *, wait: bool = False) -> None:
        self._post(lambda: self._begin_quit(wait))

    def close(self) -> None:
        if self._thread is None or self._thread is threading.current_thread():
            return
        self.quit()
        self._thread.join(self._limits.quit_s + self._limits.write_s + 5)

    def handle(self) -> dict[str, object]:
        """Where it listens, as JSON."""
        return {"host": self.host, "port": self.port, "framed": self.framed, "tls": self.tls}

    def _post(self, function: Callable[[], None]) -> None:
        self._posted.append(function)
        if self._wake is not None:
            with contextlib.suppress(OSError):  # the bell's pipe is full, or closed at the other end
                self._wake.send(b"!")

    # -- the thread

    def _serve(self) -> None:
        try:
            while not self._is_over():
                self._turn()
        except Exception:  # the outermost loop of this thread: a server that is gone must say so
            log.exception("the control server failed")
            raise
        finally:
            for connection in self._connections:
                connection.peer.close()
            self._connections.clear()
            self._unlisten()
            self._reader.close()
            self._selector.close()
            self._bell.close()
            if self._wake is not None:
                self._wake.close()
            self._done.set()
            log.info("stopped")

    def _turn(self) -> None:
        """Wait until something is to be done, and do it."""
        ready = self._selector.select(self._patience_s())
        now_s = time.monotonic()
        for key, mask in ready:
            if key.fileobj is self._bell:
                with contextlib.suppress(BlockingIOError):
                    self._bell.recv(4_096)
            elif isinstance(key.data, Connection):
                self._guarded(key.data, self._take, mask, now_s)
            elif key.fileobj in self._listeners:
                self._accept(key.fileobj, now_s)
        for connection in [one for one in self._connections if one.peer.holds_input]:
            self._guarded(connection, self._take, selectors.EVENT_READ, now_s)
        while self._posted:
            self._posted.popleft()()
        self._tend(time.monotonic())

    def _take(self, connection: Connection, mask: int, now_s: float) -> None:
        if not connection.peer.shaken and not connection.peer.handshake():
            return
        if mask & selectors.EVENT_READ:
            connection.waiting.extend(connection.receive(now_s))
            self._answer(connection)

    def _answer(self, connection: Connection) -> None:
        """Answer what waits, in order; what is large is read aside first, and the rest waits for it.

        Nor does one client keep the others waiting: once enough of its answers wait to be sent, the rest is answered in later turns.
        """
        while connection.waiting and not connection.reading:
            if connection.closing or not connection.peer.is_open:  # refused, or dropped: what was sent along with it is not looked at
                connection.waiting.clear()
                break
            if connection.is_full:
                return
            body = connection.waiting.popleft()
            if len(body) > LARGE_BYTES:
                self._read_aside(connection, body)
            else:
                self._answer_one(connection, self._read(body))
        if not connection.reading:
            connection.settle()

    def _read_aside(self, connection: Connection, body: bytes) -> None:
        connection.reading = True
        connection.owed += 1

        def read() -> None:
            request = self._read(body)
            self._post(lambda: self._guarded(connection, self._was_read, request))

        self._reader.do(read)

    def _was_read(self, connection: Connection, request: Any) -> None:
        connection.reading = False
        connection.owed -= 1
        if connection in self._connections:  # else the client is gone
            self._answer_one(connection, request)
            self._answer(connection)

    def _tend(self, now_s: float) -> None:
        """What every connection needs after each turn: news, output, the end of its patience, and what to wait for next."""
        for connection in list(self._connections):
            self._guarded(connection, self._tend_one, now_s)
        if self._paused_until_s is not None and now_s >= self._paused_until_s:
            self._listen()

    def _tend_one(self, connection: Connection, now_s: float) -> None:
        followed = bool(connection.follows)
        connection.pump()
        if followed and not connection.follows:
            connection.rest(now_s)
        due_s, reason = connection.due_s()
        if now_s >= due_s:
            connection.time_out(reason)
        if connection.goes_on:
            self._answer(connection)
        if connection.peer.shaken:
            connection.flush(now_s)
        self._watch(connection, connection.wants)

    def _watch(self, connection: Connection, wants: int) -> None:
        sock = connection.peer.sock
        known = self._selector.get_map().get(sock)
        if not wants and known:
            self._selector.unregister(sock)
        elif wants and known is None:
            self._selector.register(sock, wants, connection)
        elif wants and known and known.events != wants:
            self._selector.modify(sock, wants, connection)

    def _guarded(self, connection: Connection, step: Callable[..., None], *more: Any) -> None:
        """Do `step` for a connection; where it shows that the client is gone, forget the client."""
        try:
            step(connection, *more)
        except Gone as gone:
            log.info("%s: %s", connection.peer.address, gone)
            self._forget(connection)
        except Exception:  # one client's error must not affect other clients
            log.exception("%s: closed because of an error of ours", connection.peer.address)
            self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(connection.peer.sock)
        connection.follows.clear()
        connection.peer.close()
        self._connections.discard(connection)

    def _patience_s(self) -> float | None:
        """How long nothing may have to be done."""
        if self._posted or any(one.peer.holds_input or one.goes_on for one in self._connections):
            return 0
        dues = [connection.due_s()[0] for connection in self._connections]
        dues += [due for due in (self._quit_until_s, self._paused_until_s) if due is not None]
        due_s = min(dues, default=math.inf)
        return None if due_s == math.inf else max(0.0, due_s - time.monotonic())

    # -- coming

    def _listen(self) -> None:
        self._paused_until_s = None
        for listener in self._listeners:
            self._selector.register(listener, selectors.EVENT_READ)

    def _unlisten(self) -> None:
        for listener in self._listeners:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(listener)
            listener.close()
        self._listeners = []
        self._paused_until_s = None

    def _accept(self, listener: Any, now_s: float) -> None:
        try:
            sock, address = listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError as error:
            if error.errno not in NO_FILES_LEFT:
                raise
            log.warning("can't accept a connection now: %s", error)
            for one in self._listeners:  # else the selector would report the waiting client again and again
                self._selector.unregister(one)
            self._paused_until_s = now_s + NO_FILES_PAUSE_S
            return
        try:
            peer = Peer(sock, f"{address[0]}:{address[1]}", self._tls)
        except (OSError, ValueError) as error:  # gone again already
            log.info("%s: %s", address[0], error)
            sock.close()
            return
        connection = Connection(peer, framed=self.framed, limits=self._limits, now_s=now_s)
        if len(self._connections) >= self._limits.connections:
            self._turn_away(connection)
            return
        self._connections.add(connection)

    def _turn_away(self, connection: Connection) -> None:
        text = f"{self._limits.connections} clients are connected already; try again later"
        log.warning("%s: turned away, %s", connection.peer.address, text)
        if connection.peer.shaken:
            with contextlib.suppress(Gone):
                connection.send(error_frame(Refused(ErrorKind.BUSY, text)) if self.framed else error_answer(text))
                connection.peer.flush()
                connection.peer.end_output()
        connection.peer.close()

    # -- going

    def _begin_quit(self, wait: bool) -> None:
        """On the server's thread. A second one that does not wait overrules a first one that does."""
        if not self._operations.quitting:
            log.info("shutting down")
            self._unlisten()
        self._operations.quitting = True
        until_s = math.inf if wait else time.monotonic() + self._limits.quit_s
        self._quit_until_s = until_s if self._quit_until_s is None else min(self._quit_until_s, until_s)
        if not wait:
            self._jobs.stop_all("the server was asked to shut down")

    def _is_over(self) -> bool:
        """Once asked to quit: when all runs have ended and all clients have their replies, or when the time is up."""
        if self._quit_until_s is None:
            return False
        if time.monotonic() >= self._quit_until_s:
            for job in self._jobs.running():
                log.warning("run %s has not ended in time and is left behind", job.id)
            return True
        if self._jobs.running() or self._posted:
            return False
        for connection in self._connections:
            if not connection.owed and not connection.follows:
                connection.close_after_output()
        self._tend(time.monotonic())
        return not self._connections
