"""TLS a bounded piece at a time: both ways at once, ends with and without a goodbye, and what waits unread.

gevent is imported by the tests, not with the file: all processes of the suite would have it (`tests.warm.collecting`).
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from loadflow.engine.hostile.tls_records import server_context

if TYPE_CHECKING:
    from loadflow.engine.protocols.running.tls_stream import TlsStream

MANY = 3_000_000  # bytes: more than the sockets and buffers between the two hold
Serve = Callable[[ssl.SSLSocket], None]


def connected(folder: Path, serve: Serve) -> tuple[TlsStream, threading.Thread]:
    """A stream to a server that is a thread of its own."""
    near, far = socket.socketpair()
    context = server_context(folder, 1)

    def run() -> None:
        with context.wrap_socket(far, server_side=True, suppress_ragged_eofs=False) as peer:
            serve(peer)

    thread = threading.Thread(target=run)
    thread.start()
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    return stream_over(near, client, None), thread


def stream_over(near: socket.socket, context: ssl.SSLContext, server_name: str | None) -> TlsStream:
    import gevent.socket

    from loadflow.engine.protocols.running.tls_stream import TlsStream

    return TlsStream(gevent.socket.socket(fileno=near.detach()), context, server_name)


def test_one_greenlet_writes_while_another_reads(tmp_path: Path) -> None:
    """The peer writes first, and all of it: who waits for it to read must not keep the one who reads what it writes."""

    def serve(peer: ssl.SSLSocket) -> None:
        peer.sendall(b"p" * MANY)
        got = 0
        while got < MANY:
            got += len(peer.recv(65_536))
        peer.sendall(b"%d" % got)

    import gevent

    stream, thread = connected(tmp_path, serve)
    writer = gevent.spawn(stream.sendall, b"c" * MANY)
    read = bytearray()
    while len(read) < MANY + len(str(MANY)):
        read += stream.recv(65_536)
    writer.get()
    assert read == b"p" * MANY + str(MANY).encode()
    stream.close()
    thread.join()


@pytest.mark.parametrize("says_goodbye", [True, False])
def test_the_end_is_no_bytes_with_and_without_a_goodbye(tmp_path: Path, says_goodbye: bool) -> None:
    def serve(peer: ssl.SSLSocket) -> None:
        peer.sendall(b"hi")
        if says_goodbye:
            peer.recv(1)
            with suppress(ssl.SSLError):  # the stream gives no goodbye back
                peer.unwrap()

    stream, thread = connected(tmp_path, serve)
    assert stream.recv(10) == b"hi"
    if says_goodbye:
        stream.sendall(b"x")
    assert stream.recv(10) == b""
    stream.close()
    thread.join()


def test_without_waiting_nothing_is_lost_that_was_said_to_be_sent(tmp_path: Path) -> None:
    """The peer reads only when the socket is full: what the stream took until then is kept, and flushed when there is room."""
    full = threading.Event()
    got = bytearray()

    def serve(peer: ssl.SSLSocket) -> None:
        full.wait()
        with suppress(ssl.SSLEOFError):  # the stream closes without a goodbye
            while data := peer.recv(65_536):
                got.extend(data)

    from gevent.socket import wait_write

    stream, thread = connected(tmp_path, serve)
    stream.setblocking(False)
    with pytest.raises(BlockingIOError):
        stream.recv(1)
    piece = bytes(range(256)) * 1_000  # more than one write of TLS takes
    sent = bytearray()
    with pytest.raises(BlockingIOError):
        while True:
            sent += piece[: stream.send(piece)]
    assert stream.has_unsent()
    full.set()
    while stream.has_unsent():
        wait_write(stream.fileno())
        with suppress(BlockingIOError):
            stream.flush()
    stream.close()
    thread.join()
    assert got == sent


def test_what_came_and_was_not_read_stirs(tmp_path: Path) -> None:
    over = threading.Event()

    def serve(peer: ssl.SSLSocket) -> None:
        peer.recv(1)
        peer.sendall(b"one and more")
        over.wait()

    from loadflow.engine.protocols.running.connecting import stirs

    stream, thread = connected(tmp_path, serve)
    moves = stirs(stream)
    assert not moves()
    stream.send(b"x")
    assert stream.recv(3) == b"one"
    assert moves()  # within the stream, where the system's poll does not see it
    assert stream.recv(100) == b" and more"
    assert not moves()
    over.set()
    thread.join()
    stream.close()


def test_a_peer_that_is_no_server_of_tls_is_an_error(tmp_path: Path) -> None:
    near, far = socket.socketpair()
    far.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(ssl.SSLError):
        stream_over(near, client, "a.test")
    far.close()
