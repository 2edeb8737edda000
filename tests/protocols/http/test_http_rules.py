"""The two engines' rules of HTTP compared in one process: cookies, redirects, and how an answer is read."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from loadflow.engine.protocols.http.answer_reader import AnswerReader
from loadflow.engine.protocols.http.cookies import Jar
from loadflow.engine.protocols.http.request import HttpStep
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.records.outcome import Outcome
from tests.generator.rules import EXAMPLES, Sides, plan_of, rules, the_core, told


@pytest.fixture(scope="module")
def core() -> Any:
    return the_core()


attribute = st.one_of(
    st.builds("Path={}".format, st.sampled_from(["/", "/x", "/x/", "x", '"/x"', "", "/x/y"])),
    st.builds("Max-Age={}".format, st.sampled_from(["0", "-1", "60", "60s", '"60"', "", "+5", " 7 ", "9" * 30, "-"])),
    st.builds(
        "Domain={}".format,
        st.sampled_from(["example.com", ".example.com", "EXAMPLE.com", "com", "localhost", "other.com", "", "127.0.0.1", "."]),
    ),
    st.builds(
        "Expires={}".format,
        st.sampled_from(
            [
                "Wed, 09 Jun 2027 10:18:14 GMT",
                "Wednesday, 09-Jun-99 10:18:14 GMT",
                "Thu Jan  1 00:00:09 1970",
                "30 Feb 2030 1:2:3",
                "0",
                "x",
                "1:2:3x 31/Dec/69",
                "12:30:60 1 jan 2030",
                "1 january 1601 0:0:0 2030",
            ]
        ),
    ),
    st.builds(lambda letter, over: "Path=/x".ljust(5 + 1024 + over, letter), st.sampled_from("/x\xe9"), st.integers(-1, 1)),
    st.sampled_from(["Secure", "secure=0", "HttpOnly", " ; ", "path", "a=b=c"]),
    st.text(st.characters(min_codepoint=1, max_codepoint=255, exclude_characters="\r\n\0"), max_size=12),
)
field = st.builds(
    lambda pair, rest: ";".join([pair, *rest]),
    st.one_of(
        st.sampled_from(["a=1", "b=2", ' a = "q" ', "a", "=v", "a=", "b=x=y", "c=\xe9"]),
        st.builds(lambda over, blank: "a=" + "\xe9" * (4095 + over) + blank, st.integers(-1, 1), st.sampled_from(["", "  "])),
    ),
    st.lists(attribute, max_size=4),
)
site = st.sampled_from(["shop.example.com", "example.com", "localhost", "127.0.0.1", "a.shop.example.com", "other.com"])
at = st.sampled_from(["/", "/x", "/x/y", "/xy", "/x/"])


@rules
@given(
    st.lists(st.tuples(field, site, at), max_size=6),
    site,
    at,
    st.sampled_from(["http", "https"]),
    st.sampled_from(["", "a=own", " b = 1; z"]),
)
def test_cookies_are_kept_and_sent_alike(
    core: Any, stored: list[tuple[str, str, str]], host: str, path: str, scheme: str, own: str
) -> None:
    theirs, ours = core.Cookies(), Jar()
    for line, origin, where in stored:
        theirs.store(line.encode("latin-1"), origin, where, 1_700_000_000)
        ours.store(line, origin, where, 1_700_000_000)
    for now_s in (1_700_000_000, 1_700_000_030, 1_900_000_000):
        assert theirs.header_for(scheme, host, path, own, now_s) == ours.header_for(scheme, host, path, own, now_s)


@pytest.mark.parametrize(
    ("stored", "sent"),
    [
        ("a=" + "v" * 4095, "a=" + "v" * 4095),
        ("a=" + "v" * 4096, ""),
        ("a" * 4096 + "=", "a" * 4096 + "="),
        ("a=1; Path=/" + "x" * 1024, "a=1"),  # an attribute that is too long is as one that was not written
        ("a=1; Max-Age=" + "0" * 1025, "a=1"),
        ("a=1; Max-Age=" + "0" * 1024, ""),
    ],
    ids=["4,096 bytes", "4,097 bytes", "a long name", "a long path", "a long age", "an age that just is none"],
)
def test_a_cookie_and_its_attributes_have_bounds(core: Any, stored: str, sent: str) -> None:
    theirs, ours = core.Cookies(), Jar()
    theirs.store(stored.encode(), "example.com", "/", 1_700_000_000)
    ours.store(stored, "example.com", "/", 1_700_000_000)
    for jar in (theirs, ours):
        assert jar.header_for("http", "example.com", "/", "", 1_700_000_000) == sent


@rules
@given(st.lists(st.tuples(st.sampled_from(["a.test", "b.test", "c.test"]), st.integers(1, 250), st.booleans()), max_size=5))
def test_the_oldest_cookies_of_a_host_and_of_a_user_are_let_go_alike(core: Any, given_: list[tuple[str, int, bool]]) -> None:
    theirs, ours = core.Cookies(), Jar()
    for host, count, ends in given_:
        for number in range(count):
            line = f"n{number}={host}" + ("; Max-Age=0" if ends and number % 3 == 0 else "")
            theirs.store(line.encode(), host, "/", 1_700_000_000)
            ours.store(line, host, "/", 1_700_000_000)
    sent = {}
    for host in ("a.test", "b.test", "c.test"):
        found = sent[host] = ours.header_for("http", host, "/", "", 1_700_000_000)
        assert theirs.header_for("http", host, "/", "", 1_700_000_000) == found
        assert found.count("=") <= 180
    assert sum(found.count("=") for found in sent.values()) == len(ours) <= 300


url = st.one_of(
    st.sampled_from(
        ["/a", "b", "../c?x=1", "?q", "//target/x", "//other:81", "http://target:8080/y", "https://target:8080/", "HTTP://OTHER/", "#f", ""]
    ),
    st.sampled_from(
        ["/a b", "/50%of", "/é", "\xe9", "/%41%2f", "ftp://x/", "http://[::1]:9/", "http://[::1/", "http://a..b/", "/.", "/x/../y"]
    ),
    st.text(st.sampled_from("/.?#%a é:@[]"), max_size=10),
)


@rules
@given(
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE"]),
    st.dictionaries(
        st.sampled_from(["Host", "Authorization", "Content-Type", "X-A", "Content-Length", "Cookie"]), st.sampled_from(["1", "x"])
    ),
    st.sampled_from(["", "body"]),
    st.sampled_from([301, 302, 303, 307, 308]),
    url,
)
def test_redirects_lead_to_the_same_request(core: Any, method: str, headers: dict[str, str], body: str, status: int, location: str) -> None:
    step = {"method": method, "request_url": "/from/here?x=1", "headers": headers, "data": body}
    sides = Sides(core, plan_of(step))
    from loadflow.engine.protocols.http.redirects import redirected  # and gevent, see below

    request = HttpStep(sides.plan.steps[0], sides.plan, sides.compiler).render(sides.scope)
    own = {name.lower() for name, _ in request.headers}
    asked = (request.scheme == "https", request.host, request.port, request.head, request.body, request.cookies)
    raw = location.encode()

    def theirs() -> Any:
        return core.redirected(asked, "host" in own, "content-length" in own, status, raw, sides.calls)

    def ours() -> Any:
        made = redirected(request, status, raw.decode("latin-1"))
        return made.scheme == "https", made.host, made.port, made.head, made.body, made.cookies

    assert told(theirs) == told(ours)


def chunk(size: str, part: bytes, end: str) -> bytes:
    return f"{size}{end}".encode() + part + b"\r\n"


line = st.sampled_from(
    [
        "Content-Length: 2",
        "Content-Length: 3",
        "Content-Length: 2, 2",
        "Content-Length: x",
        "Content-Length:",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: Chunked;q=1",
        "Connection: close",
        "Connection: keep-alive",
        "Connection: x, Close",
        "X-A: b\r\n c",
        "X-A: b \r\n\t\r\n  c",
        " X: y",
        "X-A:",
        "X A: b",
        "X-\xe9: b",
        "X-A: \xe9",
        "X-A: a\0b",
        "no colon",
        "X-A : b",
        "Set-Cookie: a=1",
    ]
)
first = st.sampled_from(
    [
        "HTTP/1.1 200 OK",
        "HTTP/1.0 200 OK",
        "HTTP/1.1 204 No",
        "HTTP/1.1 304 Not",
        "HTTP/1.1 404",
        "HTTP/1.1 999 \xe9",
        "HTTP/1.1 099 X",
        "HTTP/1.1 20 X",
        "HTTP/1.1 2000 X",
        "HTTP/2 200 OK",
        "HTTP/1.1  200 OK",
        "http/1.1 200 OK",
        "HTTP/1.1 200OK",
        "ICY 200 OK",
        "",
    ]
)
size = st.sampled_from(["2", "2 ", "2\t;a=b", "2;a", "2 x", "02", "A", "-2", "0x2", "", "2\x0b"])
body_of_answer = st.one_of(
    st.sampled_from([b"", b"hi", b"hi there", b"HTTP/1.1 200 OK\r\n\r\n"]),
    st.builds(
        lambda chunks, end: b"".join(chunks) + end,
        st.lists(st.builds(chunk, size, st.sampled_from([b"hi", b"hello", b"h"]), st.sampled_from(["\r\n", "\n"])), max_size=2),
        st.sampled_from(
            [b"0\r\n\r\n", b"0 \r\n\r\n", b"0\r\nX-T: 1\r\n\r\n", b"0\r\nbad\r\n\r\n", b"0\r\n\r\nmore", b"0\r\n", b"00\r\n\r\n", b""]
        ),
    ),
)
whole = st.builds(
    lambda before, start, lines, body: before + "\r\n".join([start, *lines, "", ""]).encode("latin-1") + body,
    st.sampled_from([b"", b"\r\n", b"\r\n\r\n", b"\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 X\r\nA: b\r\n\r\n",
        b"HTTP/1.1 101 X\r\n\r\n"]),
    first, st.lists(line, max_size=3), body_of_answer,
)  # fmt: skip


class Wire:
    """A socket whose peer has sent these pieces, and then closed."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = list(pieces)

    def recv(self, count: int) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


@settings(rules, max_examples=10 * EXAMPLES)
@given(whole, st.lists(st.integers(0, 120), max_size=3), st.sampled_from(["GET", "HEAD"]))
@example(b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi", [], "GET")
@example(b"\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n2 \r\nhi\r\n0\r\n\r\n", [1, 70], "GET")
def test_answers_are_read_alike(core: Any, answer: bytes, cuts: list[int], method: str) -> None:
    """By the core, by the reader of http_user, and by fast_http_user, which has a parser of its own."""
    places = sorted({0, len(answer), *(min(cut, len(answer)) for cut in cuts)})
    pieces = [answer[start:end] for start, end in itertools.pairwise(places)]
    found = core.read(pieces, method == "HEAD", True, 1000)
    read, parsed = by_reader(pieces, method), by_parser(pieces, method)
    if len(pieces) > 1 and found[0] == Outcome.PROTOCOL:  # how much of a wrong line is there when it is refused hangs on the pieces
        found, read, parsed = found[0], read[0], parsed[0]
    assert read == found
    assert parsed == found


def refused(failure: HitFailure) -> Any:
    """What is not an HTTP about an answer is said in the same words, too."""
    return int(failure.outcome), str(failure).encode() if failure.outcome is Outcome.PROTOCOL else b"", False, 0


def by_reader(pieces: list[bytes], method: str) -> Any:
    reader = AnswerReader(method, 1000)
    try:
        for number, piece in enumerate(pieces):
            if reader.feed(piece):
                return reader.status, bytes(reader.body), reader.keeps, sum(map(len, pieces[: number + 1]))
        reader.ended()
    except HitFailure as failure:
        return refused(failure)
    return reader.status, bytes(reader.body), False, sum(map(len, pieces))


def by_parser(pieces: list[bytes], method: str) -> Any:
    from loadflow.engine.protocols.http.client import HttpClient  # and gevent, which no file of tests imports (tests.warm.collecting)

    client = HttpClient(plan_of({"method": "get", "request_url": "/"}, max_body_bytes=1000))
    request: Any = SimpleNamespace(method=method, stream=None)
    connection: Any = SimpleNamespace(socket=Wire(pieces))
    try:
        parser = client._receive(connection, request)
    except HitFailure as failure:
        return refused(failure)
    if isinstance(parser, AnswerReader):
        return parser.status, bytes(parser.body), parser.keeps, client.traffic.received_bytes
    return parser.get_code(), bytes(parser.body), not parser.should_close(), client.traffic.received_bytes
