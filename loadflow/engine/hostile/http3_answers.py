"""What a server of HTTP/3 may do to a client (RFC 9114, RFC 9204), and to one of QUIC below it (RFC 9000); laid out by hand.

Each is the answer to the first request of a connection, so its stream is 0. The server's settings came before, on its control stream.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from loadflow.engine.hostile.answer import HostileAnswer
from loadflow.engine.hostile.deflating import gzip_of_zeros
from loadflow.engine.hostile.http_answers import LOOKS, SAYS_HI, SHORT, sent, times
from loadflow.engine.records.outcome import Outcome

if TYPE_CHECKING:
    from aioquic.quic.connection import QuicConnection

__all__ = ["CONTROL", "HTTP3_ANSWERS", "REQUEST", "SETTINGS_STREAM", "Http3Answer"]

DATA, HEADERS, SETTINGS, PUSH_PROMISE, GOAWAY, MAX_PUSH_ID = 0, 1, 4, 5, 7, 13
PING_OF_HTTP_2, NOTHING = 6, 0x21  # a kind that must not come, and one that has no meaning
REQUEST, CONTROL = 0, 3  # streams: the client's first, and the server's first
PREFIX = b"\0\0"  # of a section that needs no table (RFC 9204 section 4.5.1)
OK = PREFIX + b"\xd9"  # :status 200, by its number in the static table
NO_ERROR, INTERNAL_ERROR, EXCESSIVE_LOAD = 0x100, 0x102, 0x107
MANY_BYTES = 12_000_000  # stands for no end: no client takes as many of what is no answer
MORE_STREAMS = 600
Make = Callable[[], bytes]
Tells = Callable[["QuicConnection"], None]


@dataclass(frozen=True, slots=True)
class Http3Answer(HostileAnswer):
    """`begin` is said on a stream, which `ends` with it or not: one of a number, or "new" ones of the server's own, `streams` of them.

    `tells` is done to the connection instead, once or `again_and_again`. `instead` makes, of the client's first datagram, what is sent
    in place of a handshake, again and again. `protocols` are those that the server knows, and `retries`: whether it first asks a client to
    show where it is.
    """

    on: int | Literal["new"] = REQUEST
    ends: bool = False
    streams: int = 1
    tells: Tells | None = None
    again_and_again: bool = False
    instead: Callable[[bytes], Sequence[bytes]] | None = None
    protocols: tuple[str, ...] = ("h3",)
    retries: bool = False


def number(value: int) -> bytes:
    """RFC 9000 section 16."""
    for bits, size in enumerate((1, 2, 4, 8)):
        if value < 1 << (8 * size - 2):
            return (value | bits << (8 * size - 2)).to_bytes(size, "big")
    raise ValueError(f"{value} is 2^62 or more")


def frame(kind: int, payload: bytes = b"", length: int | None = None) -> bytes:
    """RFC 9114 section 7.1. `length`: what it says that follows."""
    return number(kind) + number(len(payload) if length is None else length) + payload


def fields(*pairs: tuple[bytes, bytes]) -> bytes:
    """With literal names and values, without Huffman's code (RFC 9204 section 4.5.6)."""
    return b"".join(_prefixed(0x20, 3, name) + _prefixed(0, 7, value) for name, value in pairs)


def _prefixed(signs: int, bits: int, text: bytes) -> bytes:
    """RFC 7541 section 5.1: its length in so many bits, and bytes behind them where it is longer."""
    most, size = (1 << bits) - 1, len(text)
    if size < most:
        return bytes([signs | size]) + text
    out, left = bytearray([signs | most]), size - most
    while left >= 128:
        out.append(left % 128 + 128)
        left //= 128
    return bytes(out) + bytes([left]) + text


def head(*pairs: tuple[bytes, bytes]) -> bytes:
    return frame(HEADERS, OK + fields(*pairs))


def section(name: str, outcome: Outcome, packed: bytes) -> Http3Answer:
    """An answer of header fields alone."""
    return Http3Answer(name, outcome, sent(frame(HEADERS, packed)), ends=True)


def once(name: str, outcome: Outcome, data: bytes, **more: object) -> Http3Answer:
    return Http3Answer(name, outcome, sent(data), **more)  # type: ignore[arg-type]


def flood(name: str, outcome: Outcome, piece: bytes, begin: bytes = b"", **more: object) -> Http3Answer:
    return Http3Answer(name, outcome, times(piece, MANY_BYTES // len(piece), begin), **more)  # type: ignore[arg-type]


def own(name: str, kind: int, data: bytes, **more: object) -> Http3Answer:
    """On a stream of the server's own, of this kind."""
    return once(name, WRONG, number(kind) + data, on="new", **more)


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, b"".join(number(name) + number(value) for name, value in pairs))


SETTINGS_STREAM = b"\0" + settings()
HI = frame(DATA, b"hi")
WRONG = Outcome.PROTOCOL

HEADS = [
    flood("interim answers without end", WRONG, frame(HEADERS, PREFIX + b"\xd8" + fields((b"link", b"</a>")))),
    once("three heads", WRONG, head() * 3, ends=True),
    once("a head of 2^40 bytes", WRONG, frame(HEADERS, OK, 1 << 40)),
    section("a header bomb of 10 MB", WRONG, OK + b"\xfa" * 100_000),
    Http3Answer("5,000 header fields", Outcome.OK, lambda: head(*((b"x-%d" % n, b"1") for n in range(5_000))) + HI, ends=True),
    Http3Answer("a field of 200 kB", Outcome.OK, lambda: head((b"x-a", b"b" * 200_000)) + HI, ends=True),
    Http3Answer("a field of 300 kB", WRONG, lambda: head((b"x-a", b"b" * 300_000)) + HI, ends=True),
    section("a number of QPACK without end", WRONG, PREFIX + b"\xff" * 1_000),
    section("a place that no table has", WRONG, PREFIX + b"\xff\x24"),
    section("a place of a table that was not allowed", WRONG, b"\2\0\x80"),
    section("a text longer than its section", WRONG, PREFIX + b"\x51\xff\xff\xff\x0f"),
    section("Huffman's code that is none", WRONG, OK + b"\x21x\x84\xff\xff\xff\xff"),
    section("no status", WRONG, PREFIX + fields((b"x-a", b"1"))),
    section("a status that is none", WRONG, PREFIX + fields((b":status", b"abc"))),
    section("a name in upper case", WRONG, OK + fields((b"X-A", b"1"))),
    section("a field about a connection", WRONG, OK + fields((b"connection", b"close"))),
    section("a field with a line break", WRONG, OK + fields((b"x-a", b"1\r\nx-b: 2"))),
    once("no head at all", WRONG, b"", ends=True),
]

BODIES = [
    flood("a body without end", Outcome.TOO_LARGE, frame(DATA, b"x" * 16_384), head()),
    flood("a body in frames of 16 bytes", Outcome.TOO_LARGE, frame(DATA, b"x" * 16), head()),
    once("a frame of 2^61 bytes", Outcome.TOO_LARGE, head() + frame(DATA, b"x" * MANY_BYTES, 1 << 61)),
    flood("empty DATA without end", WRONG, frame(DATA), head()),
    once("DATA before a head", WRONG, HI, ends=True),
    once("a stream that ends within a frame", WRONG, head() + frame(DATA, b"hi", 9), ends=True),
    once("less than the length says", WRONG, head((b"content-length", b"9")) + HI, ends=True),
    once("more than the length says", WRONG, head((b"content-length", b"1")) + HI, ends=True),
    Http3Answer(
        "a gzip bomb",
        Outcome.TOO_LARGE,
        lambda: head((b"content-encoding", b"gzip")) + frame(DATA, gzip_of_zeros(100)),
        ends=True,
        step=LOOKS,
    ),
]

FRAMES = [
    flood("frames of a kind that nobody knows", WRONG, frame(NOTHING, b"x" * 100)),
    once("one of them without end", WRONG, frame(NOTHING, b"x" * MANY_BYTES, 1 << 61)),
    once("SETTINGS in an answer", WRONG, head() + settings()),
    once("a frame of HTTP/2", WRONG, head() + frame(PING_OF_HTTP_2, bytes(8))),
    once("a promise that nobody allowed", WRONG, frame(PUSH_PROMISE, b"\0" + OK)),
    flood("bytes that are no frames", WRONG, b"\xff" * 100),
    once("HTTP/1", WRONG, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", ends=True),
]

STREAMS = [
    once("SETTINGS twice", WRONG, settings(), on=CONTROL),
    once("DATA beside requests", WRONG, HI, on=CONTROL),
    once("a setting of HTTP/2", WRONG, number(0) + settings((2, 1)), on="new"),
    once("the control stream ends", WRONG, b"", on=CONTROL, ends=True),
    once("a push that the server asks for", WRONG, frame(MAX_PUSH_ID, b"\1"), on=CONTROL),
    once("a farewell that takes back", WRONG, frame(GOAWAY, number(4)) + frame(GOAWAY, number(8)), on=CONTROL),
    once("a farewell from what is no request", WRONG, frame(GOAWAY, number(3)), on=CONTROL),
    once("farewells before each request is looked at", Outcome.CLOSED, frame(GOAWAY, number(0)), on=CONTROL),
    flood("farewells without end", WRONG, frame(GOAWAY, number(400)), on=CONTROL),
    flood("nothing without end beside requests", WRONG, frame(NOTHING, b"x" * 100), on=CONTROL),
    own("a second control stream", 0, settings()),
    own("a stream of a push", 1, b"\0" + head()),
    own("an entry for the table", 2, b"\x3f\xe1\x1f\x43x-a\x011"),
    own("a section that nobody sent", 3, b"\x80"),
    own("the table's stream ends", 2, b"", ends=True),
    own("a stream without a meaning and without end", NOTHING, b"x" * MANY_BYTES),
    own("streams without a meaning, one after the other", NOTHING, b"x" * 20_000, streams=MORE_STREAMS, ends=True),
]


def resets(code: int) -> Tells:
    return lambda quic: quic.reset_stream(REQUEST, code)


def stops(quic: QuicConnection) -> None:
    quic.stop_stream(REQUEST, NO_ERROR)


def pings(quic: QuicConnection) -> None:
    for _ in range(100):
        quic.send_ping(0)


def takes_new_keys(quic: QuicConnection) -> None:
    quic.request_key_update()
    quic.send_stream_data(REQUEST, head() + HI, True)


def takes_new_names(quic: QuicConnection) -> None:
    quic.change_connection_id()


def closes(code: int, reason: str = "") -> Tells:
    return lambda quic: quic.close(error_code=code, reason_phrase=reason)


def resets_a_body(quic: QuicConnection) -> None:
    quic.send_stream_data(REQUEST, head() + frame(DATA, b"h", 9))
    quic.reset_stream(REQUEST, INTERNAL_ERROR)


QUIC = [
    Http3Answer("the request is reset", Outcome.CLOSED, tells=resets(INTERNAL_ERROR)),
    Http3Answer("the request is stopped, and not answered", Outcome.TIMEOUT, tells=stops, step=SHORT),
    Http3Answer("pings without end", Outcome.TIMEOUT, tells=pings, again_and_again=True, step=SHORT),
    Http3Answer("new names without end", Outcome.TIMEOUT, tells=takes_new_names, again_and_again=True, step=SHORT),
    Http3Answer("new keys, and the answer", Outcome.OK, tells=takes_new_keys, step=SAYS_HI),
    Http3Answer("closed without a word", Outcome.CLOSED, tells=closes(NO_ERROR)),
    Http3Answer("closed for a load that is too much", Outcome.CLOSED, tells=closes(EXCESSIVE_LOAD, "no \x1b[31m more")),
    Http3Answer("reset within the body", Outcome.CLOSED, tells=resets_a_body),
    Http3Answer("silence", Outcome.TIMEOUT, then="wait", step=SHORT),
    Http3Answer("a byte at a time", Outcome.TIMEOUT, sent(head() + frame(DATA, b"x" * 9_000)), then="trickle", step=SHORT),
]


def names_of(first: bytes) -> tuple[bytes, bytes]:
    """To whom the datagram goes, and from whom, each behind its length (RFC 8999 section 5.1)."""
    behind = 6 + first[5]
    return first[5:behind], first[behind : behind + 1 + first[behind]]


def versions(*known: int) -> Callable[[bytes], Sequence[bytes]]:
    def made(first: bytes) -> Sequence[bytes]:
        to, own = names_of(first)
        return [b"\x80" + bytes(4) + own + to + struct.pack(f"!{len(known)}I", *known)]

    return made


def unsigned_retry(first: bytes) -> Sequence[bytes]:
    to, own = names_of(first)
    return [b"\xf0" + first[1:5] + own + to + b"a token that nobody signed" + bytes(16)]


def cut_up(first: bytes) -> Iterator[bytes]:
    for size in range(0, len(first), 10):
        yield first[:size]


def below(name: str, outcome: Outcome, instead: Callable[[bytes], Sequence[bytes]], **more: object) -> Http3Answer:
    return Http3Answer(name, outcome, instead=instead, **more)  # type: ignore[arg-type]


HANDSHAKES = [
    below("QUIC: silence", Outcome.TIMEOUT, lambda first: [], step=SHORT),
    below("QUIC: bytes without end that are none", Outcome.TIMEOUT, lambda first: [b"\xff" * 1_200] * 100, step=SHORT),
    below("QUIC: packets of a connection that there is not", Outcome.TIMEOUT, lambda first: [b"\x40" + b"x" * 99] * 100, step=SHORT),
    below("QUIC: what the client sent, again and again", Outcome.TIMEOUT, lambda first: [first] * 100, step=SHORT),
    below("QUIC: parts of it", Outcome.TIMEOUT, lambda first: list(cut_up(first)), step=SHORT),
    below("QUIC: retries without end that nobody signed", Outcome.TIMEOUT, lambda first: list(unsigned_retry(first)) * 100, step=SHORT),
    below("QUIC: no version that there is", Outcome.CONNECT, versions(0x1A2A3A4A)),
    below("QUIC: the client's own version as another", Outcome.TIMEOUT, versions(1), step=SHORT),
    Http3Answer("QUIC: no HTTP/3", Outcome.TLS, protocols=("hq-interop",)),
    Http3Answer("QUIC: a retry, and the answer", Outcome.OK, sent(head() + HI), ends=True, retries=True, step=SAYS_HI),
]

HTTP3_ANSWERS = [
    *(*HEADS, *BODIES, *FRAMES, *STREAMS, *QUIC, *HANDSHAKES),
    once("and the next answer is read right", Outcome.OK, head() + HI, ends=True, step=SAYS_HI),
]
