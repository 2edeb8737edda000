"""Targets that are broken or mean harm: each answer has its outcome, and what comes after it is read right."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from loadflow.engine.records.outcome import Outcome
from loadflow.errors import CommandError
from tests.load.harness import USERS, get, load, post, raw
from tests.targets.fixture import Target

OK = b"HTTP/1.1 200 OK\r\n"
MOVED = b"HTTP/1.1 302 F\r\nContent-Length: 0\r\nLocation: %s\r\n\r\n"
PACKED = gzip.compress(b"hi there")
TWO = OK + b"Content-Length: 2\r\n\r\nhi"
LOOKS = [{"type": "not_contains", "value": "never there"}]  # makes the body be decoded


def body(fields: bytes, text: bytes = b"hi") -> bytes:
    return OK + fields + b"\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)


@dataclass(frozen=True)
class Answer:
    sentence: str
    url: str
    outcome: Outcome
    status: int = 200
    text: str = ""


ANSWERS = [
    Answer("100 before the answer is not the answer", raw(b"HTTP/1.1 100 Continue\r\n\r\n", TWO), Outcome.OK),
    Answer("103 before the answer is not the answer", raw(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + TWO), Outcome.OK),
    Answer("101 was not asked for", raw(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), Outcome.PROTOCOL, 0),
    Answer("bytes behind the answer are not read", raw(TWO + b"MORE"), Outcome.OK),
    Answer("a second answer is not taken for the first", raw(TWO + b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"), Outcome.OK),
    Answer("nor for that of the next request", "/status/404", Outcome.STATUS, 404),
    Answer("chunks in pieces", raw(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"2\r\nh", b"i\r\n0\r\n", b"\r\n"), Outcome.OK),
    Answer("trailers", raw(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-T: 1\r\n\r\n"), Outcome.OK),
    Answer("an answer byte by byte", raw(*(bytes([byte]) for byte in TWO)), Outcome.OK),
    Answer("HTTP/1.0 until the connection is closed", raw(b"HTTP/1.0 200 OK\r\n\r\nall of it", then="cut"), Outcome.OK),
    Answer("no length: until the connection is closed", raw(OK + b"\r\nall of it", then="cut"), Outcome.OK),
    Answer("no phrase", raw(b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi"), Outcome.OK),
    Answer("a status above 599", raw(b"HTTP/1.1 999 X\r\nContent-Length: 2\r\n\r\nhi"), Outcome.STATUS, 999),
    Answer("a status below 100", raw(b"HTTP/1.1 099 X\r\nContent-Length: 2\r\n\r\nhi"), Outcome.PROTOCOL, 0),
    Answer("a status of five digits", raw(b"HTTP/1.1 70000 X\r\n\r\n"), Outcome.PROTOCOL, 0),
    Answer("no head at all", raw(b"<html>hello</html>", then="cut"), Outcome.PROTOCOL, 0),
    Answer("two lengths", raw(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhix"), Outcome.PROTOCOL, 0),
    Answer("a length and chunks", raw(OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), Outcome.PROTOCOL, 0),
    Answer("a length below 0", raw(OK + b"Content-Length: -2\r\n\r\nhi"), Outcome.PROTOCOL, 0),
    Answer("a length that is not a number", raw(OK + b"Content-Length: abc\r\n\r\nhi"), Outcome.PROTOCOL, 0),
    Answer("a length beyond all bounds", raw(OK + b"Content-Length: 99999999999999999999999\r\n\r\nhi"), Outcome.PROTOCOL, 0),
    Answer("a chunk length that is not a number", raw(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhi\r\n"), Outcome.PROTOCOL, 0),
    Answer(
        "closed within a chunk",
        raw(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhi", then="cut"),
        Outcome.CLOSED,
        0,
        "the connection was closed before the body was whole",
    ),
    Answer("closed before a chunk", raw(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", then="cut"), Outcome.CLOSED, 0),
    Answer(
        "closed within the head", raw(b"HTTP/1.1 200 OK\r\nConte", then="cut"), Outcome.CLOSED, 0, "before the header fields were whole"
    ),
    Answer("closed after the status line", raw(b"HTTP/1.1 200 OK\r\n", then="cut"), Outcome.CLOSED, 0),
    Answer("a header line without a colon", raw(body(b"no colon here")), Outcome.PROTOCOL, 0),
    Answer("a NUL in a header", raw(body(b"X-A: a\x00b")), Outcome.PROTOCOL, 0),
    Answer("a folded header", raw(body(b"X-A: a\r\n b")), Outcome.OK),
    Answer("a fold that belongs to no field", raw(body(b" b")), Outcome.PROTOCOL, 0),
    Answer("the same length twice", raw(OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi"), Outcome.OK),
    Answer("the same length twice, in a list", raw(OK + b"Content-Length: 2, 2\r\n\r\nhi"), Outcome.OK),
    Answer("an empty line before the answer", raw(b"\r\n" + TWO), Outcome.OK),
    Answer("blanks behind the size of a chunk", raw(OK + b"Transfer-Encoding: chunked\r\n\r\n2  \r\nhi\r\n0\r\n\r\n"), Outcome.OK),
    Answer("chunks within chunks", raw(OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"), Outcome.PROTOCOL, 0),
    Answer("a name that is not a coding", raw(body(b"Content-Encoding: utf-8")), Outcome.OK),
    *(
        Answer(f"{name}, then chunked", raw(OK + fields + b"\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(PACKED), PACKED)), Outcome.OK)
        for name, fields in (
            ("gzip in the same field", b"Transfer-Encoding: gzip, chunked"),
            ("gzip in a field of its own", b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked"),
        )
    ),
    Answer("another coding of the transfer", raw(OK + b"Transfer-Encoding: br, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"), Outcome.PROTOCOL),
    Answer("lines that end with LF alone", raw(TWO.replace(b"\r\n", b"\n")), Outcome.PROTOCOL, 0),
    Answer("150 header fields", raw(body(b"\r\n".join(b"X-%d: 1" % n for n in range(150)))), Outcome.OK),
    Answer("a header of 70,000 bytes", "/headers-huge", Outcome.OK),
    Answer("a header beyond ASCII", raw(body(b"X-A: gr\xfc\xdfe")), Outcome.OK),
    Answer("204 that has a body", raw(b"HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\nhi"), Outcome.OK, 204),
    Answer("304 with the length of what it does not send", raw(b"HTTP/1.1 304 No\r\nContent-Length: 2\r\n\r\n"), Outcome.OK, 304),
    *(
        Answer(f"charset {name}", raw(body(b"Content-Type: text/plain; charset=" + name.encode(), text)), Outcome.OK)
        for name, text in (("idna", b"\xffi"), ("undefined", b"\xffi"), ("hex", b"zz"), ("utf-7", b"+2AA-"), ("unicode_escape", b"\\ud800"))
    ),
    Answer("gzip that is none", raw(body(b"Content-Encoding: gzip")), Outcome.PROTOCOL, 200, "the body is not valid gzip"),
    Answer("gzip that ends early", raw(body(b"Content-Encoding: gzip", gzip.compress(b"hi" * 99)[:20])), Outcome.CLOSED),
    Answer("a coding that nobody asked for", raw(body(b"Content-Encoding: br")), Outcome.PROTOCOL),
    Answer("a body of exactly the limit", "/bytes/200000", Outcome.OK),
    Answer("a body over the limit", "/bytes/200001", Outcome.TOO_LARGE),
    Answer("a gzip bomb", "/gzip-bomb/100000000", Outcome.TOO_LARGE),
    Answer("a redirect to what is not a URL", raw(MOVED % b"http://[::1/"), Outcome.REDIRECT, 302),
    Answer("a redirect to another scheme", raw(MOVED % b"ftp://x/"), Outcome.REDIRECT, 302),
    Answer(
        "a redirect to what is not a host",
        raw(MOVED % (b"http://" + b"a" * 80 + b".invalid/")),
        Outcome.REDIRECT,
        302,
    ),
    Answer("redirects without end", "/redirect-loop", Outcome.REDIRECT, 302),
    Answer("and still the next is read right", "/status/404", Outcome.STATUS, 404),
]


@pytest.mark.parametrize("user", USERS)
def test_each_answer_has_its_outcome(user: str, target: Target, tmp_path: Path) -> None:
    steps = [get(row.url, name=f"{number:02}", assertions=LOOKS, timeout=20) for number, row in enumerate(ANSWERS)]
    done = load(tmp_path, steps, user=user, host=target.url, max_body_bytes=200_000)
    assert done.error is None
    hits = sorted(done.hits, key=lambda hit: hit.name)
    found = {
        row.sentence: (hit.outcome, hit.status if hit.outcome is not Outcome.TOO_LARGE else 200, row.text in hit.error)
        for row, hit in zip(ANSWERS, hits, strict=True)
    }
    assert found == {row.sentence: (row.outcome, row.status, True) for row in ANSWERS}
    assert not [hit.error for hit in hits if " at 0x" in hit.error]  # an address would make every failure a kind of its own


@pytest.mark.parametrize("user", USERS)
def test_half_a_surrogate_pair_in_a_failed_answer_is_no_end_of_the_load(user: str, target: Target, tmp_path: Path) -> None:
    url = raw(body(b"Content-Type: text/plain; charset=utf-7", b"+2AA-"))
    done = load(
        tmp_path, [get(url, name="a", assertions=[{"type": "contains", "value": "x"}]), get("/ok", name="b")], user=user, host=target.url
    )
    assert [hit.outcome for hit in done.hits] == [Outcome.ASSERTION, Outcome.OK]
    assert done.summary["errors"][0]["samples"]


@pytest.mark.parametrize("user", USERS)
def test_a_body_made_to_keep_the_redaction_busy_is_no_end_of_the_load(user: str, target: Target, tmp_path: Path) -> None:
    steps = [
        get(raw(body(b"X: 1", text * (40_000 // len(text)))), name=str(number), assertions=[{"type": "contains", "value": "no"}])
        for number, text in enumerate((b"token", b'"token', b"a.", b'\\"token\\": \\"'))
    ]
    done = load(tmp_path, steps, user=user, host=target.url)
    assert [hit.outcome for hit in done.hits] == [Outcome.ASSERTION] * 4


@pytest.mark.parametrize("user", USERS)
def test_a_connection_closed_while_idle_is_no_failure_and_nothing_is_sent_twice(user: str, target: Target, tmp_path: Path) -> None:
    target.reset()
    steps = [get(raw(TWO, then="cut"), name="closed without a word", think_time=0.5), post("/echo", data="once")]
    done = load(tmp_path, steps, user=user, host=target.url, iterations=2)
    assert {hit.outcome for hit in done.hits} == {Outcome.OK}
    assert target.counts() == {"/raw": 2, "/echo": 2}


@pytest.mark.parametrize("user", USERS)
def test_after_a_failure_behind_a_redirect_nobody_reads_the_late_answer(user: str, target: Target, tmp_path: Path) -> None:
    with Target() as other:
        steps = [
            get(f"{target.url}/redirect-code/307?to={other.url}/delay/700", name="in time for nobody", timeout=0.3),
            get(f"{other.url}/status/201", name="next", think_time=0.6),
            get(f"{other.url}/status/202", name="the one after"),
        ]
        done = load(tmp_path, steps, user=user)
    assert [(hit.outcome, hit.status) for hit in done.hits] == [(Outcome.TIMEOUT, 0), (Outcome.OK, 201), (Outcome.OK, 202)]


@pytest.mark.parametrize("user", USERS)
def test_credentials_stay_with_the_host_they_were_meant_for(user: str, target: Target, tmp_path: Path) -> None:
    with Target() as other:
        target.reset()
        step = get(
            f"{target.url}/redirect-code/302?to={other.url}/echo",
            auth={"type": "bearer", "token": "for one host"},
            cookies={"c": "for one host"},
            headers={"X-Kept": "yes"},
        )
        same = {**step, "request_url": f"{target.url}/redirect-code/302?to=/echo"}
        load(tmp_path, [step, same], user=user)
        (away,) = other.records("/echo")
        (home,) = target.records("/echo")
    assert (away.header("Authorization"), away.header("Cookie"), away.header("X-Kept")) == (None, None, "yes")
    assert (home.header("Authorization"), home.header("Cookie")) == ("Bearer for one host", "c=for one host")


@pytest.mark.parametrize("user", USERS)
def test_cookies(user: str, target: Target, tmp_path: Path) -> None:
    target.reset()
    port = target.url.rpartition(":")[2]
    steps = [
        get("/set-cookie", params=[["c", "a=1; Path=/"], ["c", "b=2; Path=/elsewhere"], ["c", "s=3; Path=/; Secure"]]),
        get("/echo", name="one path, no TLS"),
        get("/echo", name="the step's own wins", cookies={"a": "mine", "d": "4"}),
        get("/set-cookie", params=[["c", "r=5; Path=/"], ["to", "/echo?redirected"]]),
        get("/set-cookie", params=[["c", "a=; Path=/; Max-Age=0"], ["c", "x=6; Domain=other.test; Path=/"]]),
        get("/echo", name="forgotten, and not another host's"),
        get(f"http://localhost:{port}/echo", name="another host"),
    ]
    load(tmp_path, steps, user=user, host=target.url)
    sent = [record.header("Cookie") for record in target.records("/echo")]
    assert sent[:2] == ["a=1", "a=mine; d=4"]
    assert sorted((sent[2] or "").split("; ")) == ["a=1", "r=5"]
    assert sent[3:] == ["r=5", None]


@pytest.mark.parametrize("user", USERS)
def test_what_a_target_sets_without_end_is_kept_within_bounds(user: str, target: Target, tmp_path: Path) -> None:
    target.reset()
    fields = [["c", f"n{number}=1; Path=/"] for number in range(500)]
    done = load(tmp_path, [get("/set-cookie", params=fields), get("/echo")], user=user, host=target.url)
    assert done.outcome("/echo") is Outcome.OK
    assert len((target.records("/echo")[0].header("Cookie") or "").split("; ")) == 180


@pytest.mark.parametrize("user", USERS)
def test_values_of_the_wrong_kind_are_failures_and_nothing_is_sent(user: str, target: Target, tmp_path: Path) -> None:
    target.reset()
    answer = {"number": 5, "half": "\ud800", "host": "a..b", "ftp": "ftp://x/", "word": "soon", "nan": "nan"}
    keep = [{"var": name, "path": name} for name in answer]
    steps = [
        get(raw(body(b"X: 1", json.dumps(answer).encode())), name="answer", extract=keep),
        post("/echo", name="a number as a form", data="${var.number}"),
        post("/echo", name="half a character", data="a${var.half}"),
        get("http://${var.host}/", name="no host"),
        get("${var.ftp}", name="another scheme"),
        get("/echo", name="a word as a time", timeout="${var.word}"),
        get("/echo", name="no number as a time", timeout="${var.nan}"),
        get("/echo", name="a file that is not there", verify="/nowhere/${var.word}.pem"),
    ]
    done = load(tmp_path, steps, user=user, host=target.url)
    assert {hit.name: hit.outcome for hit in done.hits if hit.name != "answer"} == {
        str(step["name"]): Outcome.TEMPLATE for step in steps[1:]
    }
    assert target.counts() == {"/raw": 1}


@pytest.mark.parametrize(
    ("sentence", "more", "place"),
    [
        ("a CA file that is not there", {"verify": "/nowhere.pem"}, r"tasks\[0\]: the file /nowhere.pem is not there"),
        ("a client certificate that is none", {"cert": __file__}, r"tasks\[0\]: .*test_hostile.py can't be used"),
        ("a header with a line break", {"headers": {"X": "a\nb"}}, r'tasks\[0\]: the header "X" holds a line break'),
        ("half a character", {"data": "\ud800"}, r"tasks\[0\]: a value holds a character that can't be sent"),
        ("a rate that is a word", {"throttle": {"rps": "${var.word}"}}, r"tasks\[0\]\.throttle\.rps"),
        ("retries that are a word", {"retry": {"transient": "${var.word}"}}, r"tasks\[0\]\.retry\.transient"),
        ("a status that is a word", {"assertions": [{"type": "status_code", "value": "${var.word}"}]}, r"tasks\[0\]\.assertions"),
        ("a host that is none", {"request_url": "http://a..b/"}, r"is not a URL"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
def test_what_is_wrong_with_every_hit_is_a_mistake_before_the_load(
    sentence: str, more: dict[str, object], place: str, target: Target, tmp_path: Path
) -> None:
    target.reset()
    with pytest.raises(CommandError, match=place):
        load(tmp_path, [{"method": "post", "request_url": f"{target.url}/echo", **more}], variables={"word": "soon"})
    assert target.counts() == {}


@pytest.fixture
def six() -> Iterator[int]:
    """The port of a server on ::1 that answers one connection, whatever it is asked."""
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback address")
    with listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                asked = connection.recv(65536)
                connection.sendall(body(b"X-Host: " + asked.partition(b"Host: ")[2].partition(b"\r\n")[0] + b"\r\nConnection: close"))

        threading.Thread(target=answer, daemon=True).start()
        yield listener.getsockname()[1]


@pytest.mark.parametrize("user", USERS)
def test_an_ipv6_host(user: str, six: int, tmp_path: Path) -> None:
    host = f"[::1]:{six}"
    done = load(tmp_path, [get(f"http://{host}/", assertions=[{"type": "header", "name": "X-Host", "value": host}])], user=user)
    assert [hit.error for hit in done.hits] == [""]
