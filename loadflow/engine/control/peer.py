"""One client's socket, plain or TLS, which never blocks: what it gives, what it takes, and what it waits for."""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl

__all__ = ["Gone", "Peer"]

READ_BYTES = 65_536
WRITE_BYTES = 65_536


class Gone(Exception):
    """The connection is over; the text is for the log."""


class Peer:
    """`wants` are the events to wait for before the next call can do something."""

    def __init__(self, sock: socket.socket, address: str, tls: ssl.SSLContext | None) -> None:
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # the handshake is done by the loop, step by step, so that a slow client delays no other client
        self.sock = tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False) if tls else sock
        self.address = address
        self.is_open = True
        self.shaken = tls is None
        self.out = bytearray()
        self.wants = selectors.EVENT_READ

    def handshake(self) -> bool:
        """One step of it; whether it is done."""
        assert isinstance(self.sock, ssl.SSLSocket)
        try:
            self.sock.do_handshake()
        except ssl.SSLWantReadError:
            self.wants = selectors.EVENT_READ
        except ssl.SSLWantWriteError:
            self.wants = selectors.EVENT_WRITE
        except (OSError, ValueError) as error:
            raise Gone(f"no TLS handshake: {error}") from None
        else:
            self.shaken = True
        return self.shaken

    def receive(self) -> bytes | None:
        """What has come; None: nothing now; b"": the client has shut down its side."""
        try:
            return self.sock.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except ssl.SSLEOFError:
            return b""
        except (OSError, ValueError) as error:
            raise Gone(f"broken off: {error}") from None

    @property
    def holds_input(self) -> bool:
        """Whether TLS holds bytes which the operating system will not speak of again."""
        return isinstance(self.sock, ssl.SSLSocket) and self.shaken and self.is_open and self.sock.pending() > 0

    def flush(self) -> bool:
        """Send what the client takes now; whether it took something."""
        took = False
        while self.out:
            try:
                with memoryview(self.out) as view, view[:WRITE_BYTES] as piece:  # neither may outlive the sending: `out` shrinks
                    sent = self.sock.send(piece)
            except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            except (OSError, ValueError) as error:
                raise Gone(f"broken off: {error}") from None
            del self.out[:sent]
            took = took or sent > 0
        return took

    def end_output(self) -> None:
        """Tell the client that nothing follows, and go on reading: closing at once would throw away what it has not read."""
        with contextlib.suppress(OSError, ValueError):
            if isinstance(self.sock, ssl.SSLSocket):
                self.sock.unwrap()
        with contextlib.suppress(OSError, ValueError):
            self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.is_open = False
        with contextlib.suppress(OSError):
            self.sock.close()
