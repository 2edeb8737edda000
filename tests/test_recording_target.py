"""The recording target tells the truth: proven with the standard library's client and with raw sockets."""

from __future__ import annotations

import gzip
import itertools
import json
import resource
import socket
import ssl
import subprocess
import time
import zlib
from contextlib import ExitStack
from http.client import BadStatusLine, HTTPConnection, HTTPException, HTTPResponse, IncompleteRead, LineTooLong, RemoteDisconnected
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.targets.fixture import Target
from tests.targets.wire import Malformed, RequestParser


@pytest.fixture(autouse=True)
def fresh(target: Target) -> None:
    target.reset()


def call(
    target: Target, path: str, method: str = "GET", body: bytes | str | None = None, headers: dict[str, str] | None = None
) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection("127.0.0.1", target.port, timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def raw(target: Target, *pieces: bytes) -> bytes:
    """Everything the server sends until it closes."""
    with socket.create_connection(("127.0.0.1", target.port), timeout=10) as client:
        for piece in pieces:
            client.sendall(piece)
        received = b""
        while data := client.recv(65536):
            received += data
        return received


def test_a_record_is_what_was_sent_to_the_byte(target: Target) -> None:
    before_ns = time.monotonic_ns()
    raw(
        target,
        b"PUT /echo?a=%20b&a=2 HTTP/1.1\r\nHost: x\r\nX-B: 1\r\nx-a:  two \r\nX-B: 3\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"
        b"\x00\xff\n",
    )
    (record,) = target.records()
    assert (record.method, record.target, record.path, record.body) == ("PUT", "/echo?a=%20b&a=2", "/echo", b"\x00\xff\n")
    assert record.headers == (("Host", "x"), ("X-B", "1"), ("x-a", "two"), ("X-B", "3"), ("Content-Length", "3"), ("Connection", "close"))
    assert before_ns < record.at_ns < time.monotonic_ns()


def test_requests_of_one_connection_share_its_id_and_others_do_not(target: Target) -> None:
    opened = target.connections()["opened"]
    connection = HTTPConnection("127.0.0.1", target.port, timeout=10)
    for _ in range(3):
        connection.request("GET", "/ok")
        connection.getresponse().read()
    connection.close()
    call(target, "/ok?q")
    numbers = [record.connection for record in target.records("/ok")]
    assert numbers == [numbers[0]] * 3 + [numbers[0] + 1]
    assert target.counts() == {"/ok": 4}
    assert target.connections()["opened"] - opened == 2


def test_reset_forgets_requests_and_counters_but_no_token_comes_twice(target: Target) -> None:
    first = json.loads(call(target, "/login", "POST", '{"user": "ann"}')[1])
    call(target, "/ok")
    target.reset()
    assert target.records() == [] and target.counts() == {}
    assert json.loads(call(target, "/ok")[1]) == {"ok": True, "n": 1}
    assert json.loads(call(target, "/login", "POST", "user=bob")[1])["token"] != first["token"]


STATUS_AND_BODY = [
    ("a fixed status", "/status/418", 418, b'{"status": 418}'),
    ("an unregistered status", "/status/599", 599, b'{"status": 599}'),
    ("a status that is none", "/status/99", 404, b'{"error": "a final status has three digits and is at least 200"}'),
    ("no such route", "/nowhere", 404, b'{"error": "no route /nowhere"}'),
    ("a count that is not a number", "/bytes/many", 404, b'{"error": "no route /bytes/many"}'),
    ("no content", "/204", 204, b""),
    ("not modified", "/304", 304, b""),
    ("chunks put together", "/chunked", 200, b'{"ok": true, "chunked": true}'),
    ("a slow body, whole in the end", "/slow-body/20", 200, b'{"ok": true, "slow_ms": 20}'),
    ("so many bytes", "/bytes/5", 200, b"xxxxx"),
    ("no bytes", "/bytes/0", 200, b""),
    ("login wants POST", "/login", 405, b'{"error": "POST a user"}'),
    ("the end of a redirect chain", "/redirect/0", 200, b'{"ok": true, "redirected": true}'),
]


@pytest.mark.parametrize(("path", "status", "body"), [row[1:] for row in STATUS_AND_BODY], ids=[row[0] for row in STATUS_AND_BODY])
def test_a_route_answers(target: Target, path: str, status: int, body: bytes) -> None:
    response, received = call(target, path)
    assert (response.status, received) == (status, body)


@pytest.mark.parametrize("path", ["/ok", "/head", "/bytes/9", "/chunked", "/gzip", "/slow-body/50", "/status/500", "/nowhere"])
def test_head_gets_no_body_and_the_connection_goes_on(target: Target, path: str) -> None:
    connection = HTTPConnection("127.0.0.1", target.port, timeout=10)
    for method, empty in (("HEAD", True), ("GET", False)):
        connection.request(method, path)
        assert (connection.getresponse().read() == b"") is empty
    connection.close()


REDIRECTS = [
    ("the first of two hops", "/redirect/2", 302, "/redirect/1"),
    ("the last hop", "/redirect/1", 302, "/redirect/0"),
    ("a loop", "/redirect-loop", 302, "/redirect-loop"),
    ("one that keeps the method", "/redirect-code/307", 307, "/echo"),
    ("one that becomes GET", "/redirect-code/303", 303, "/echo"),
    ("one to another host", "/redirect-code/302?to=http://localhost:1/x", 302, "http://localhost:1/x"),
]


@pytest.mark.parametrize(("path", "status", "location"), [row[1:] for row in REDIRECTS], ids=[row[0] for row in REDIRECTS])
def test_a_redirect_points_at(target: Target, path: str, status: int, location: str) -> None:
    response, _ = call(target, path)
    assert (response.status, response.getheader("Location")) == (status, location)


def test_login_gives_a_token_and_a_cookie_that_whoami_gives_back(target: Target) -> None:
    response, body = call(target, "/login", "POST", '{"user": "ann"}')
    login = json.loads(body)
    cookie = response.getheader("Set-Cookie") or ""
    assert login["user"] == "ann" and "Path=/" in cookie
    sid = cookie.partition(";")[0]
    _, body = call(target, "/whoami", headers={"Cookie": f"a=b; {sid}", "Authorization": f"Bearer {login['token']}"})
    assert json.loads(body) == {"sid": sid.removeprefix("sid="), "authorization": f"Bearer {login['token']}"}
    assert json.loads(call(target, "/whoami")[1]) == {"sid": None, "authorization": None}


def test_compressed_bodies_are_what_their_header_says(target: Target) -> None:
    response, body = call(target, "/gzip")
    assert response.getheader("Content-Encoding") == "gzip" and json.loads(gzip.decompress(body))["ok"] is True
    response, body = call(target, "/deflate")
    assert response.getheader("Content-Encoding") == "deflate" and json.loads(zlib.decompress(body))["ok"] is True


def test_flaky_works_every_kth_time_by_path(target: Target) -> None:
    assert [call(target, "/flaky/3")[0].status for _ in range(6)] == [503, 503, 200, 503, 503, 200]
    assert call(target, "/flaky/1")[0].status == 200


def test_delay_holds_the_answer_back_but_nobody_elses(target: Target) -> None:
    with socket.create_connection(("127.0.0.1", target.port), timeout=10) as slow:
        began_ns = time.monotonic_ns()
        slow.sendall(b"GET /delay/300 HTTP/1.1\r\nHost: x\r\n\r\n")
        call(target, "/ok")
        assert time.monotonic_ns() - began_ns < 300e6
        assert slow.recv(100).startswith(b"HTTP/1.1 200")
        assert time.monotonic_ns() - began_ns >= 300e6


BROKEN: list[tuple[str, str, type[Exception]]] = [
    ("closed without an answer", "/close", RemoteDisconnected),
    ("closed in the body", "/close-mid-body", IncompleteRead),
    ("not HTTP", "/garbage", BadStatusLine),
    ("a header line over the client's limit", "/headers-huge", LineTooLong),
]


@pytest.mark.parametrize(("path", "error"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_a_broken_answer_is_an_error_and_the_request_is_recorded(target: Target, path: str, error: type[HTTPException]) -> None:
    with pytest.raises(error):
        call(target, path)
    assert target.counts() == {path: 1}


def test_connection_close_is_said_and_done(target: Target) -> None:
    received = raw(target, b"GET /connection-close HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"Connection: close\r\n" in received and received.endswith(b'{"ok": true}')


def test_a_client_that_says_close_or_speaks_1_0_is_closed(target: Target) -> None:
    assert raw(target, b"GET /ok HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").endswith(b'{"ok": true, "n": 1}')
    assert raw(target, b"GET /ok HTTP/1.0\r\n\r\n").endswith(b'{"ok": true, "n": 2}')


def test_pipelined_requests_are_answered_in_order_even_behind_a_slow_one(target: Target) -> None:
    received = raw(target, b"GET /delay/50 HTTP/1.1\r\nHost: x\r\n\r\nGET /ok HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert 0 < received.index(b"delay_ms") < received.index(b'"n": 1')


def test_a_client_that_expects_it_gets_100_continue_before_its_body(target: Target) -> None:
    with socket.create_connection(("127.0.0.1", target.port), timeout=10) as client:
        client.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"hi")
        assert client.recv(1000).startswith(b"HTTP/1.1 200 OK")
    assert target.records()[0].body == b"hi"


def test_what_is_no_request_gets_400_and_is_counted(target: Target) -> None:
    assert raw(target, b"hello\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert target.connections()["malformed"] == 1
    assert target.records() == []


ONE_POST = b"POST /p?q HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\n\r\n\r\n0\r\nT: 1\r\n\r\n"
ONE_PUT = b"PUT /u HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n\r\n\r\n"
STREAM = ONE_POST + ONE_PUT + b"GET /g HTTP/1.1\r\nHost: x\r\n\r\n"


@given(st.lists(st.integers(0, len(STREAM)), max_size=8).map(sorted))
def test_the_parser_gives_the_same_requests_however_the_bytes_are_cut(cuts: list[int]) -> None:
    parser = RequestParser()
    bounds = [0, *cuts, len(STREAM)]
    found = [request for start, end in itertools.pairwise(bounds) for request in parser.feed(STREAM[start:end])]
    assert [(request.method, request.target, request.body) for request in found] == [
        ("POST", "/p?q", b"abc\r\n"),
        ("PUT", "/u", b"\r\n\r\n"),
        ("GET", "/g", b""),
    ]


def test_the_parser_takes_bytes_one_by_one() -> None:
    parser = RequestParser()
    assert [request.target for byte in STREAM for request in parser.feed(bytes([byte]))] == ["/p?q", "/u", "/g"]


MALFORMED = [
    ("two different lengths", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
    ("a negative length", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"),
    ("length and chunks", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ("a chunk longer than said", b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n"),
    ("a space in the target", b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("a header name with a space", b"GET / HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n"),
    ("no Host", b"GET / HTTP/1.1\r\n\r\n"),
    ("HTTP/2 in the request line", b"GET / HTTP/2.0\r\nHost: x\r\n\r\n"),
    ("a head without end", b"GET / HTTP/1.1\r\nA: " + b"a" * 300_000),
]


@pytest.mark.parametrize("data", [row[1] for row in MALFORMED], ids=[row[0] for row in MALFORMED])
def test_the_parser_refuses(data: bytes) -> None:
    with pytest.raises(Malformed):
        RequestParser().feed(data)


def test_two_thousand_connections_are_open_at_once(target: Target) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2_200:
        pytest.fail(f"needs 2,200 file descriptors; the hard limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2_200), hard))
    with ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", target.port), timeout=30)) for _ in range(2_000)]
        for client in clients:
            client.sendall(b"GET /ok HTTP/1.1\r\nHost: x\r\n\r\n")
        for client in clients:
            assert client.recv(1000).startswith(b"HTTP/1.1 200 OK")
        assert target.connections()["open"] >= 2_000
    assert target.counts() == {"/ok": 2_000}
    assert len({record.connection for record in target.records()}) == 2_000


def test_it_speaks_tls_with_the_certificate_it_is_given(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(cert), "-days", "2"]
    subprocess.run([*command, "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    with Target(tls=(cert, key)) as target:
        assert target.url.startswith("https://")
        trusting = ssl.create_default_context(cafile=str(cert))
        with (
            socket.create_connection(("127.0.0.1", target.port), timeout=10) as plain,
            trusting.wrap_socket(plain, server_hostname="127.0.0.1") as client,
        ):
            client.sendall(b"GET /ok HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 200 OK")
        assert target.counts() == {"/ok": 1}


def test_it_ends_when_its_lifeline_is_cut() -> None:
    target = Target()
    target.start()
    process = target._process
    assert process is not None and process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=10) == 0
    target.stop()
