"""TLS over a connected socket, a bounded piece at a time, in the place of `ssl.SSLSocket`.

OpenSSL's read goes on by itself as long as records come that hold nothing of an answer: session tickets, new keys. A peer that sends
those without pause never lets it return, and every user of the loop stands. Here OpenSSL sees what one read of the socket gave, others
have their turn, and what holds nothing of an answer is bounded as it is over plain connections.
"""

from __future__ import annotations

import contextlib
import io
import socket
import ssl
from typing import Any, TypeAlias

from gevent.lock import BoundedSemaphore

from loadflow.engine.protocols.running.endless import MOST_TLS_BYTES
from loadflow.engine.protocols.running.turns import Turns

__all__ = ["Socket", "TlsEndless", "TlsStream", "bounded"]

BLOCK_BYTES = 16_384  # a key update takes OpenSSL some 50 us, so of those that fit it makes 40 ms of work
SENT_BYTES = 65_536


class TlsEndless(ssl.SSLError):
    """TLS that says nothing, and no end of it."""


class TlsStream:
    """Made once the session is there: the handshake is the constructor's work. Raises OSError, and ssl.SSLError among them.

    Two greenlets may use it, one that reads and one that writes. Timeouts are those of the socket below; with a timeout of 0 nothing
    waits: `recv`, `send` and `flush` raise BlockingIOError, and `has_unsent` says whether `flush` is to be called again. `early`: what came
    through the socket already; `session`: of an earlier stream.
    """

    def __init__(
        self, plain: socket.socket, context: ssl.SSLContext, server_hostname: str | None, early: bytes = b"", session: Any = None
    ) -> None:
        self._plain = plain
        self._incoming = ssl.MemoryBIO()
        self._incoming.write(early)
        self._outgoing = ssl.MemoryBIO()
        self._unsent = b""  # out of `_outgoing`, and not taken by the socket yet
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname, session=session)
        self._sending = BoundedSemaphore()
        self._receiving = BoundedSemaphore()
        self._turns = Turns()
        self._ended = False
        self._beside = 0  # bytes of TLS since the last one of content
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.flush()
                self._fill()
            except ssl.SSLError:
                self._say_goodbye()  # the alert that says why to the peer
                raise
        self.flush()

    def do_handshake(self) -> None:
        """Nothing: it is over since the constructor."""

    def recv(self, most_bytes: int, flags: int = 0) -> bytes:
        """b"" at the end, also where the peer left out the goodbye of TLS, as most do."""
        with self._receiving:
            if not self._ended and not self.has_more():
                self._fill()  # a read would only say so, by an exception
            while True:
                try:
                    data = self._tls.read(most_bytes)
                except ssl.SSLWantReadError:
                    if self._outgoing.pending:
                        self._flush_if_free()
                    self._fill()
                    continue
                except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                    self._ended = True
                    return b""
                self._beside = 0
                return data

    def send(self, data: bytes | memoryview) -> int:
        """Some of it is sent: how many bytes. What the socket does not take at once is kept, and goes before anything else."""
        if self._unsent:
            self.flush()
        while True:
            try:
                count = self._tls.write(data if len(data) <= SENT_BYTES else memoryview(data)[:SENT_BYTES])
                break
            except ssl.SSLWantReadError:  # the peer wants new terms first (TLS 1.2)
                self.flush()
                with self._receiving:
                    self._fill()
        with contextlib.suppress(BlockingIOError):
            self.flush()
        return count

    def sendall(self, data: bytes | memoryview) -> None:
        left = memoryview(data)
        while left:
            left = left[self.send(left) :]

    def flush(self) -> None:
        """Until the socket has all that was sent."""
        with self._sending:
            while self.has_unsent():
                self._unsent = self._unsent or self._outgoing.read()
                self._unsent = self._unsent[self._plain.send(self._unsent) :]

    def has_unsent(self) -> bool:
        return bool(self._unsent) or self._outgoing.pending > 0

    def has_more(self) -> bool:
        """Whether something came that no `recv` has given yet."""
        return self._incoming.pending > 0 or self._tls.pending() > 0

    def close(self) -> None:
        self._plain.close()

    def fileno(self) -> int:
        number: int = self._plain.fileno()
        return number

    def settimeout(self, timeout_s: float | None) -> None:
        self._plain.settimeout(timeout_s)

    def setblocking(self, flag: bool) -> None:
        self._plain.setblocking(flag)

    def gettimeout(self) -> float | None:
        timeout_s: float | None = self._plain.gettimeout()
        return timeout_s

    def setsockopt(self, *option: int) -> None:
        self._plain.setsockopt(*option)

    def shutdown(self, how: int) -> None:
        self._plain.shutdown(how)

    def makefile(self, *_: object, **__: object) -> io.BytesIO:
        """What `http.client` wants to read from: nothing, for our own reader has all of an answer."""
        return io.BytesIO()

    def getpeercert(self, binary_form: bool = False) -> object:
        return self._tls.getpeercert(binary_form)

    @property
    def session(self) -> Any:
        """What a later stream may go on with."""
        return self._tls.session

    @property
    def agreed(self) -> str:
        """Version and cipher."""
        cipher = self._tls.cipher()
        return f"{self._tls.version()} {cipher[0] if cipher else ''}"

    def version(self) -> str | None:
        return self._tls.version()

    def _fill(self) -> None:
        block = self._plain.recv(BLOCK_BYTES)
        if not block:
            self._incoming.write_eof()
            self._ended = True
            return
        self._beside += len(block)
        if self._beside > MOST_TLS_BYTES:
            raise TlsEndless(ssl.SSL_ERROR_SSL, f"over {MOST_TLS_BYTES:,} bytes of TLS that hold nothing of an answer, and no end")
        self._incoming.write(block)
        self._turns.taken()

    def _flush_if_free(self) -> None:
        """For the reading side: the sending side may be waiting for the peer to read, and sends this too."""
        if self._sending.acquire(blocking=False):
            self._sending.release()
            with contextlib.suppress(BlockingIOError):
                self.flush()

    def _say_goodbye(self) -> None:
        with contextlib.suppress(OSError):
            self.flush()


def bounded(context: Any) -> Any:
    """The context, whose `wrap_socket` gives a TlsStream."""

    def wrap_socket(plain: socket.socket, *, server_hostname: str | None = None, **_: object) -> TlsStream:
        return TlsStream(plain, context, server_hostname)

    context.wrap_socket = wrap_socket
    return context


Socket: TypeAlias = socket.socket | TlsStream  # the first is gevent's, which has the methods of the standard library's
