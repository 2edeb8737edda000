"""Requests that are bounded as a whole: whatever a server sends, and however slowly, they end in time and say why."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from loadflow.engine.exporters.shared.bounded import MOST_BYTES, Bounded
from loadflow.engine.exporters.shared.trouble import Unreachable

Play = Callable[[socket.socket, threading.Event], None]
HEAD = b"HTTP/1.1 200 OK\r\n"


@contextmanager
def playing(play: Play) -> Iterator[str]:
    """A server that reads the head of each request, and then does as `play` says until the client or the test is gone."""
    over = threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))

    def serve(peer: socket.socket) -> None:
        with peer, suppress(OSError):
            while not over.is_set() and b"\r\n\r\n" in peer.recv(65_536):
                play(peer, over)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        over.set()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def whole(data: bytes) -> Play:
    return lambda peer, over: peer.sendall(data)


def answer(body: bytes) -> Play:
    return whole(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)


def drip(head: bytes, piece: bytes, every_s: float = 0.02) -> Play:
    """Something now and then, without end."""

    def play(peer: socket.socket, over: threading.Event) -> None:
        peer.sendall(head)
        while not over.wait(every_s):
            peer.sendall(piece)

    return play


SLOW = [
    ("says nothing", drip(b"", b"")),
    ("drips its head", drip(HEAD, b"X: 1\r\n", 0.05)),
    ("drips one line of its head", drip(HEAD + b"X: ", b"a")),
    ("drips its body", drip(HEAD + b"Content-Length: 100000\r\n\r\n", b"a")),
    ("drips chunks", drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n")),
    ("says without end that it goes on", drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.001)),
]


@pytest.mark.parametrize("play", [row[1] for row in SLOW], ids=[row[0] for row in SLOW])
def test_a_slow_server_is_given_up_in_time(play: Play) -> None:
    request = Bounded(0.5)
    with playing(play) as url, pytest.raises(Unreachable, match=r"did not answer whole within 0\.5 s|can't be reached"):
        request("GET", url)
    request.close()


def test_of_an_endless_body_the_first_bytes_are_taken() -> None:
    request = Bounded(60.0)
    with playing(drip(HEAD + b"\r\n", b"a" * 1_000_000, 0.0)) as url:
        found = request("GET", url)
    assert (len(found.body), found.cut) == (MOST_BYTES, True)


def test_connections_are_kept_and_after_one_that_was_given_up_the_next_is_new() -> None:
    turn: list[int] = []
    ports: set[int] = set()

    def play(peer: socket.socket, over: threading.Event) -> None:
        turn.append(1)
        ports.add(peer.getpeername()[1])
        if len(turn) == 3:
            drip(HEAD + b"Content-Length: 100000\r\n\r\n", b"a")(peer, over)
        answer(b"well")(peer, over)

    request = Bounded(1.0)
    with playing(play) as url:
        assert [request("GET", url).body for _ in range(2)] == [b"well"] * 2
        assert len(ports) == 1
        with pytest.raises(Unreachable, match="did not answer whole"):
            request("GET", url)
        found = request("GET", url)
    assert (found.status, found.body, found.cut) == (200, b"well", False)
    assert len(ports) == 2


@pytest.mark.parametrize("text", [b"", b"\x00\xff garbage\r\n\r\n", b"HTTP/1.1 banana\r\n\r\n", HEAD + b"Content-Length: 9\r\n\r\nshort"])
def test_garbage_is_told(text: bytes) -> None:
    def play(peer: socket.socket, over: threading.Event) -> None:
        peer.sendall(text)
        peer.shutdown(socket.SHUT_RDWR)

    request = Bounded(30.0)
    with playing(play) as url, pytest.raises(Unreachable, match="can't be reached"):
        request("GET", url)
