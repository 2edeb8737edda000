"""What a server of HTTP/1.1 may do to a client: each decoder, charset and pattern with the input that is worst for it."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

from loadflow.engine.hostile.answer import MAX_BODY_BYTES, HostileAnswer
from loadflow.engine.records.outcome import Outcome

__all__ = ["HTTP_ANSWERS"]

OK = b"HTTP/1.1 200 OK\r\n"
ENTITY = b'<!ENTITY b "&a;&a;">'
LONG_CHUNK = b"1;" + b"x" * 10_000 + b"\r\na\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
BLOCK = 65_536
MANY = MAX_BODY_BYTES - 100  # bytes of a body that is just not too large


def body(text: Callable[[], bytes], fields: bytes = b"") -> Callable[[], bytes]:
    def made() -> bytes:
        data = text()
        return OK + fields + b"Content-Length: %d\r\n\r\n" % len(data) + data

    return made


def sent(data: bytes) -> Callable[[], bytes]:
    return lambda: data


def times(piece: bytes, count: int, before: bytes = b"", behind: bytes = b"") -> Callable[[], bytes]:
    return lambda: before + piece * count + behind


def repeated(piece: bytes) -> bytes:
    """A block of about 64 KiB of it: the server is to be faster than the client."""
    return piece * max(1, BLOCK // len(piece))


def in_charset(name: str, text: Callable[[], bytes]) -> HostileAnswer:
    fields = f"Content-Type: text/plain; charset={name}\r\n".encode()
    return HostileAnswer(f"text in {name[:40]}", Outcome.OK, body(text, fields), step=LOOKS)


def json_with(name: str, outcome: Outcome, text: Callable[[], bytes], path: str = "a", value: object = 1) -> HostileAnswer:
    looks = {"assertions": [{"type": "json_path", "path": path, "value": value}]}
    return HostileAnswer(f"JSON: {name}", outcome, body(text), step=looks)


def pattern_on(pattern: str, text: Callable[[], bytes]) -> HostileAnswer:
    looks = {"assertions": [{"type": "not_regex", "pattern": pattern}], "extract": [{"var": "all", "from": "body"}]}
    return HostileAnswer(f"pattern {pattern}", Outcome.OK, body(text), step=looks)


LOOKS = {"assertions": [{"type": "not_contains", "value": "never there"}]}  # makes the body be decoded
GZIP = b"Content-Encoding: gzip\r\n"
DEFLATE = b"Content-Encoding: deflate\r\n"
SAYS_HI = {"assertions": [{"type": "contains", "value": "hi"}]}
SHORT = {"timeout": 0.5}

CHARSETS = [
    in_charset("punycode", times(b"a", 200_000, behind=b"-" + b"b" * 50_000)),
    in_charset("idna", times(b"xn--a.", 100_000)),
    in_charset("unicode_escape", times(rb"\x", MANY // 2)),
    in_charset("rot13", times(b"a", MANY)),
    in_charset("x" * 100_000, times(b"\xff", MANY)),
    in_charset("windows-1252", times(b"\x81", MANY)),
    in_charset("iso-8859-7", times(b"\xff", MANY)),
    in_charset("utf-16", times(b"\x00\xd8", MANY // 2)),
    in_charset("utf-32", times(b"\xff", MANY)),
    in_charset("utf-7", times(b"+", MANY)),
    in_charset("iso-2022-jp", times(b"\x1b$", MANY // 2)),
    in_charset("gb18030", times(b"\x81\x30", MANY // 2)),
    in_charset("shift_jis", times(b"\x81\xff", MANY // 2)),
    in_charset("utf-8", times(b"\xff", MANY)),
]

CODINGS = [
    HostileAnswer("gzip of empty members", Outcome.PROTOCOL, body(times(gzip.compress(b""), 200_000), GZIP), step=LOOKS),
    HostileAnswer("gzip bomb", Outcome.TOO_LARGE, body(lambda: gzip.compress(bytes(100_000_000), 1), GZIP), step=LOOKS),
    HostileAnswer("deflate bomb", Outcome.TOO_LARGE, body(lambda: zlib.compress(bytes(100_000_000), 1), DEFLATE), step=LOOKS),
    HostileAnswer("gzip that ends early", Outcome.CLOSED, body(lambda: gzip.compress(b"hi" * 99)[:20], GZIP), step=LOOKS),
    HostileAnswer("gzip that is none", Outcome.PROTOCOL, body(sent(b"hi"), GZIP), step=LOOKS),
    HostileAnswer("a coding that nobody asked for", Outcome.PROTOCOL, body(sent(b"hi"), b"Content-Encoding: br\r\n"), step=LOOKS),
]

JSON = [
    json_with("100,000 levels", Outcome.ASSERTION, times(b"[", 100_000)),
    json_with("100,000 levels that end", Outcome.ASSERTION, times(b'{"a":', 100_000, behind=b"1" + b"}" * 100_000)),
    json_with("501 levels", Outcome.ASSERTION, times(b'{"a":', 501, behind=b"1" + b"}" * 501), "b", None),
    json_with("400 levels", Outcome.OK, times(b'{"a":', 400, behind=b"1" + b"}" * 400), ".".join("a" * 400)),
    json_with("a million lists", Outcome.TOO_LARGE, times(b"[],", 1_000_000, b"[", b"1]")),
    json_with("one key many times", Outcome.OK, times(b'"a":2,', 100_000, b"{", b'"a":1}')),
    json_with("many keys", Outcome.OK, lambda: b"{" + b"".join(b'"k%d":1,' % n for n in range(100_000)) + b'"a":1}'),
    json_with("a number of a million digits", Outcome.ASSERTION, times(b"1", 1_000_000, b'{"a":', b"}")),
    json_with("halves of surrogate pairs", Outcome.OK, times(rb"\ud800", 500_000, b'{"b":"', b'","a":1}')),
    json_with("surrogates as bytes", Outcome.OK, times(b"\xed\xa0\x80", 1_000_000, b'{"b":"', b'","a":1}')),
    json_with("blanks", Outcome.ASSERTION, times(b" ", MANY)),
]

PATTERNS = [
    pattern_on("(a+)+$", times(b"a", 500_000, behind=b"b")),
    pattern_on("(x+x+)+y", times(b"x", 500_000)),
    pattern_on(r"(.*?,){20}z", times(b"1,", 250_000)),
    pattern_on(r"(?i)\W(\w+\s*)+\W\z", times("é ".encode(), 200_000)),
]

LOOKS_INTO = {"extract": [{"var": "x", "from": "css", "selector": "b p"}, {"var": "y", "from": "xpath", "expression": "count(//b)"}]}
DEPTHS = b"".join(b"<b x=%d>" % n for n in range(2_000))
XML = b"Content-Type: text/xml\r\n"


def page(name: str, outcome: Outcome, text: Callable[[], bytes], fields: bytes = b"") -> HostileAnswer:
    return HostileAnswer(f"page: {name}", outcome, body(text, fields), step=LOOKS_INTO)


PAGES = [
    page("tags without end", Outcome.TOO_LARGE, times(b"<div>", MANY // 5)),
    page("formats that are opened anew", Outcome.TOO_LARGE, times(b"<p>x", MANY // 8, DEPTHS)),
    page("attributes without end", Outcome.TOO_LARGE, lambda: b"<a" + b"".join(b" a%d" % n for n in range(150_000)) + b">"),
    page("elements of XML without end", Outcome.TOO_LARGE, times(b"<a>", MANY // 3), XML),
    page("entities that hold one another", Outcome.EXTRACT, times(b'<!ENTITY b "&a;&a;">', 10_000, b"<!DOCTYPE x [", b"]><x>&b;</x>"), XML),
]

FRAMING = [
    HostileAnswer("trailers without end", Outcome.PROTOCOL, sent(CHUNKED + b"2\r\nhi\r\n0\r\n"), repeated(b"X-T: 1\r\n")),
    HostileAnswer("a trailer without end", Outcome.PROTOCOL, sent(CHUNKED + b"2\r\nhi\r\n0\r\nX-T: "), repeated(b"x")),
    HostileAnswer("a chunk's extension without end", Outcome.PROTOCOL, sent(CHUNKED + b"2;"), repeated(b"x")),
    HostileAnswer(
        "extensions of 10 kB on chunks of a byte", Outcome.PROTOCOL, sent(CHUNKED), repeated(b"1;" + b"x" * 10_000 + b"\r\na\r\n")
    ),
    HostileAnswer("chunks of a few bytes without end", Outcome.TOO_LARGE, sent(CHUNKED), repeated(b"a\r\n0123456789\r\n")),
    HostileAnswer("a chunk of many digits", Outcome.PROTOCOL, sent(CHUNKED), repeated(b"0")),
    HostileAnswer("interim answers without end", Outcome.PROTOCOL, bytes, repeated(b"HTTP/1.1 100 Continue\r\n\r\n")),
    HostileAnswer("hints without end", Outcome.PROTOCOL, bytes, repeated(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")),
    HostileAnswer("header fields without end", Outcome.PROTOCOL, sent(OK), repeated(b"X-A: 1\r\n")),
    HostileAnswer("a header field without end", Outcome.PROTOCOL, sent(OK + b"X-A: "), repeated(b"x")),
    HostileAnswer("a status line without end", Outcome.PROTOCOL, sent(b"HTTP/1.1 200 "), repeated(b"x")),
    HostileAnswer("bytes without end that are no answer", Outcome.PROTOCOL, bytes, repeated(b"\0")),
    HostileAnswer("5,000 header fields", Outcome.OK, body(sent(b"hi"), b"".join(b"X-%d: 1\r\n" % n for n in range(5_000)))),
    HostileAnswer("one field 10,000 times", Outcome.OK, body(sent(b"hi"), b"X-A: 1\r\n" * 10_000)),
    HostileAnswer("a field of blanks", Outcome.OK, body(sent(b"hi"), b"X-A: a" + b" " * 200_000 + b"a\r\n")),
    HostileAnswer("a field of blanks in lines", Outcome.OK, body(sent(b"hi"), b"X-A: a" + b"\r\n " * 60_000 + b"a\r\n")),
    HostileAnswer("9,000 cookies", Outcome.OK, body(sent(b"hi"), b"".join(b"Set-Cookie: %d=1; Path=/c\r\n" % n for n in range(9_000)))),
    HostileAnswer("a cookie of 200 kB", Outcome.OK, body(sent(b"hi"), b"Set-Cookie: a=" + b"b" * 200_000 + b"; Path=/c\r\n")),
    HostileAnswer("a cookie of 60,000 attributes", Outcome.OK, body(sent(b"hi"), b"Set-Cookie: a=1" + b";a=" * 60_000 + b"\r\n")),
    HostileAnswer("a length far beyond what comes", Outcome.CLOSED, sent(OK + b"Content-Length: 1000\r\n\r\nhi"), then="cut"),
    HostileAnswer("more than the length says", Outcome.OK, sent(OK + b"Content-Length: 2\r\n\r\nhi and more")),
    HostileAnswer("a body without end", Outcome.TOO_LARGE, sent(OK + b"\r\n"), repeated(b"x")),
    HostileAnswer("a body of a quintillion", Outcome.TOO_LARGE, sent(OK + b"Content-Length: 999999999999999999\r\n\r\n"), repeated(b"x")),
    HostileAnswer("two lengths", Outcome.PROTOCOL, sent(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi")),
    HostileAnswer("a status of five digits", Outcome.PROTOCOL, sent(b"HTTP/1.1 70000 X\r\n\r\n")),
    HostileAnswer("closed without a word", Outcome.CLOSED, bytes, then="cut"),
    HostileAnswer("silence", Outcome.TIMEOUT, bytes, then="wait", step=SHORT),
    HostileAnswer("a head byte by byte", Outcome.TIMEOUT, sent(OK + b"X-A: " + b"x" * 9_000), then="trickle", step=SHORT),
    HostileAnswer(
        "a body byte by byte", Outcome.TIMEOUT, sent(OK + b"Content-Length: 9000\r\n\r\n" + b"x" * 9_000), then="trickle", step=SHORT
    ),
    HostileAnswer("half a head, then silence", Outcome.TIMEOUT, sent(OK + b"X-A"), then="wait", step=SHORT),
]

REDIRECTS = [
    HostileAnswer(
        "a redirect to a host of 100,000 letters",
        Outcome.REDIRECT,
        sent(b"HTTP/1.1 302 F\r\nContent-Length: 0\r\nLocation: http://" + "é".encode() * 50_000 + b"/\r\n\r\n"),
    ),
    HostileAnswer("a redirect to itself", Outcome.REDIRECT, sent(b"HTTP/1.1 302 F\r\nContent-Length: 0\r\nLocation: ?again\r\n\r\n")),
    HostileAnswer(
        "an entity bomb of XML", Outcome.OK, body(times(b'<!ENTITY b "&a;&a;">', 10_000, b"<!DOCTYPE x [", b"]><x>&b;</x>")), step=LOOKS
    ),
    HostileAnswer(
        "and the next answer is read right", Outcome.OK, body(sent(b"hi")), step={"assertions": [{"type": "contains", "value": "hi"}]}
    ),
]

HTTP_ANSWERS = [*CHARSETS, *CODINGS, *JSON, *PATTERNS, *PAGES, *FRAMING, *REDIRECTS]
