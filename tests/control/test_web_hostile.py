"""Clients over HTTP that are slow, silent, huge, too many or sending garbage: each is answered or dropped in time."""

from __future__ import annotations

import contextlib
import http.client
import random
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import trustme

from loadflow.engine.control.access import TOKEN_VARIABLES
from loadflow.engine.control.web.server import HTTP_LIMITS, WebServer
from tests.control.serving import LIMIT_S, gate_session, open_files, until
from tests.control.web_serving import ask, ask_raw, follow, web_serving

QUICK = replace(HTTP_LIMITS, handshake_s=0.5, read_s=0.5, write_s=0.5, quit_s=10)


@pytest.fixture(autouse=True)
def no_token_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TOKEN_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def connected(server: WebServer) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", server.port), LIMIT_S)
    sock.settimeout(LIMIT_S)
    return sock


def all_of(sock: socket.socket) -> bytes:
    """Everything until the server closes."""
    data = b""
    try:
        while part := sock.recv(65_536):
            data += part
    except ConnectionError:
        pass
    return data


def healthy(server: WebServer) -> bool:
    """It answers; asked again where a busy machine took longer for the question than QUICK lets a client."""

    def answers() -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return ask(server, "GET", "/healthz").body == b"ok"
        return False

    until(answers, "an answer to /healthz")
    return True


HEAD = b"POST /run HTTP/1.1\r\nHost: localhost\r\n"
SILENT = [
    ("nothing at all", b"", b"408"),
    ("half a request line", b"GET /run", b"408"),
    ("half a head", HEAD, b"408"),
    ("half a body", HEAD + b"Content-Length: 9\r\n\r\n[[", b""),
    ("half a chunk", HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n[", b""),
    ("one request, and then no other", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"ok"),
]


@pytest.mark.parametrize(("what", "data", "says"), SILENT, ids=[row[0] for row in SILENT])
def test_a_silent_client_is_closed_in_time(tmp_path: Path, what: str, data: bytes, says: bytes) -> None:
    with web_serving(tmp_path, limits=QUICK) as server:
        assert says in ask_raw(server, data)
        assert healthy(server)


DRIPS = [("a head", b"GET /runs HTTP/1.1\r\nX: "), ("a body", HEAD + b"Content-Length: 100000\r\n\r\n")]


@pytest.mark.parametrize(("what", "start"), DRIPS, ids=[row[0] for row in DRIPS])
def test_a_request_that_drips_is_ended_in_time(tmp_path: Path, what: str, start: bytes) -> None:
    over = threading.Event()
    with web_serving(tmp_path, limits=QUICK) as server, connected(server) as sock:

        def drip() -> None:
            try:
                sock.sendall(start)
                while not over.wait(0.02):
                    sock.sendall(b"x")
            except OSError:
                pass

        dripping = threading.Thread(target=drip)
        dripping.start()
        all_of(sock)
        over.set()
        dripping.join()
        assert healthy(server)


def test_a_tls_handshake_that_does_not_come_is_given_up(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    (cert, key) = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(str(cert))
    issued.private_key_pem.write_to_path(str(key))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with web_serving(tmp_path, limits=QUICK, certfile=cert, keyfile=key) as server, connected(server) as sock:
        assert all_of(sock) == b""
        until(lambda: server.clients == 0, "the place is free")
        assert ask(server, "GET", "/healthz", tls=trusting).body == b"ok"


GARBAGE: list[tuple[str, bytes]] = [
    ("no HTTP", b"\x00\x01\x02 garbage\r\n\r\n"),
    ("TLS to a plain server", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100),
    ("a head without end", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 40_000),
    ("two lengths", HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n[]"),
    ("a length that is none", HEAD + b"Content-Length: -1\r\n\r\n"),
    ("a chunk size that is none", HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
    ("a name with a line break", b"GET /runs/%0d%0aX:%20y HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
    ("an upgrade", b"GET /runs HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n\r\n"),
    ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
]


@pytest.mark.parametrize(("what", "data"), GARBAGE, ids=[row[0] for row in GARBAGE])
def test_garbage_is_answered_or_closed_and_harms_no_one(tmp_path: Path, what: str, data: bytes) -> None:
    with web_serving(tmp_path, limits=QUICK) as server:
        answer = ask_raw(server, data)
        assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 200", b"HTTP/1.1 5")), answer
        assert b"\r\nX: y" not in answer
        assert healthy(server)


@pytest.mark.parametrize("seed", range(4))
def test_random_bytes_harm_no_one(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    with web_serving(tmp_path, limits=QUICK) as server:
        for _ in range(40):
            data = bytearray(HEAD + b'Content-Length: 12\r\nConnection: close\r\n\r\n[["len",[[]]]]'[: draw.randrange(20, 120)])
            for _ in range(draw.randrange(8)):
                data[draw.randrange(len(data))] = draw.randrange(256)
            with connected(server) as sock:
                sock.sendall(data)
        until(lambda: server.clients == 0, "all places are free")
        assert healthy(server)


def test_a_client_too_many_is_told_so(tmp_path: Path) -> None:
    with web_serving(tmp_path, limits=replace(QUICK, connections=2, read_s=LIMIT_S)) as server:
        with connected(server), connected(server):
            until(lambda: server.clients == 2, "both are there")
            answer = ask_raw(server, b"")
            assert answer.startswith(b"HTTP/1.1 503")
            assert b"2 clients are connected already" in answer
        until(lambda: server.clients == 0, "both are gone")
        assert healthy(server)


def test_a_body_of_gigabytes_is_refused_and_takes_no_memory(tmp_path: Path) -> None:
    with web_serving(tmp_path) as server, connected(server) as sock:
        before = psutil.Process().memory_info().rss
        sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
        sent = 0
        try:
            for _ in range(200):
                sock.sendall(chunk)
                sent += len(chunk)
        except OSError:
            pass
        assert sent < 64 * 2**20, "the server read on"
        assert psutil.Process().memory_info().rss - before < 64 * 2**20
        assert healthy(server)


def test_a_client_that_does_not_read_its_answers_is_dropped_and_the_run_goes_on(tmp_path: Path) -> None:
    session, reached, gate = gate_session(tmp_path)
    with web_serving(tmp_path, limits=QUICK, session=session, allow_commands=["wait_here"]) as server:
        large = ask(server, "POST", "/run", [["range", [20_000]]]).lines[-1]["run"]
        question = f"GET /runs/{large} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        followed = follow(server, [["wait_here"]])
        assert reached.wait(LIMIT_S)
        with connected(server) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            with pytest.raises(OSError):
                while True:
                    sock.sendall(question * 100)
        assert healthy(server)
        gate.set()
        while (line := followed.line())["phase"] != "done":
            pass
        assert line["verdict"]["verdict"] == "passed"
        followed.connection.close()


def test_hundreds_of_connections_leave_no_file_open(tmp_path: Path) -> None:
    steps: list[Callable[[socket.socket], object]] = [
        lambda sock: sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n") or all_of(sock),
        lambda sock: sock.sendall(HEAD),
        lambda sock: None,
        lambda sock: sock.sendall(b"\xff\xff\r\n\r\n"),
    ]
    with web_serving(tmp_path, limits=QUICK) as server:
        assert healthy(server)
        until(lambda: server.clients == 0, "it is quiet")
        before = open_files()
        for number in range(200):
            with connected(server) as sock:
                steps[number % len(steps)](sock)
        until(lambda: server.clients == 0, "all are gone")
        assert open_files() <= before
        assert healthy(server)
