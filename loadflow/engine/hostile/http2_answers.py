"""What a server of HTTP/2 may do to a client (RFC 9113, RFC 7541); frames are laid out by hand, for no library sends them.

Each is the answer to the first request of a connection, so its stream is 1. The server's settings came before.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from loadflow.engine.hostile.answer import HostileAnswer, over_tls
from loadflow.engine.hostile.deflating import gzip_of_zeros
from loadflow.engine.hostile.http_answers import LOOKS, SHORT, repeated, sent
from loadflow.engine.records.outcome import Outcome

__all__ = [
    "DATA",
    "HEADERS",
    "HTTP2_ANSWERS",
    "HTTP2_TLS_ANSWERS",
    "SETTINGS",
    "SETTINGS_FRAME",
    "SETTINGS_SEEN",
    "WINDOW_UPDATE",
    "Make",
    "fields",
    "frame",
    "head",
]

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8
OK = b"\x88"  # :status 200, by its number in the static table of RFC 7541
STREAM = 1
NEXT = 1_001  # a stream that the client has not opened
LONGEST = 16_384  # bytes of a frame, where a peer says nothing else
Make = Callable[[], bytes]


def frame(kind: int, flags: int, stream: int, payload: bytes = b"", length: int | None = None) -> bytes:
    """RFC 9113 section 4.1. `length`: what it says that follows."""
    size = len(payload) if length is None else length
    return struct.pack("!I", size)[1:] + bytes((kind, flags)) + struct.pack("!I", stream) + payload


def _text(text: bytes) -> bytes:
    """RFC 7541 section 5.2, without Huffman's code."""
    size = len(text)
    if size < 127:
        return bytes([size]) + text
    out, left = bytearray([127]), size - 127
    while left >= 128:
        out.append(left % 128 + 128)
        left //= 128
    return bytes(out) + bytes([left]) + text


def fields(*pairs: tuple[bytes, bytes], kept: bool = False) -> bytes:
    """Fields with literal names and values. `kept`: they go into the client's table (RFC 7541 sections 6.2.1 and 6.2.2)."""
    return b"".join((b"\x40" if kept else b"\0") + _text(name) + _text(value) for name, value in pairs)


def head(*pairs: tuple[bytes, bytes], flags: int = END_HEADERS, status: bytes = OK) -> bytes:
    return frame(HEADERS, flags, STREAM, status + fields(*pairs))


def long_head(block: bytes, flags: int = 0) -> bytes:
    """A block of header fields in as many frames as it takes."""
    parts = [block[at : at + LONGEST] for at in range(0, len(block), LONGEST)]
    frames = [frame(HEADERS, flags | (0 if len(parts) > 1 else END_HEADERS), STREAM, parts[0])]
    for number, part in enumerate(parts[1:], 2):
        frames.append(frame(CONTINUATION, END_HEADERS if number == len(parts) else 0, STREAM, part))
    return b"".join(frames)


def bomb(count: int) -> Make:
    """One field of 4,000 bytes in the client's table, and then a byte for each time that it is meant again."""
    return lambda: long_head(OK + fields((b"x-bomb", b"b" * 4_000), kept=True) + b"\xbe" * count, END_STREAM)


def whole(body: Make, *pairs: tuple[bytes, bytes]) -> Make:
    def made() -> bytes:
        data = body()
        parts = [frame(DATA, 0, STREAM, data[at : at + LONGEST]) for at in range(0, len(data), LONGEST)]
        return head(*pairs) + b"".join(parts) + frame(DATA, END_STREAM, STREAM)

    return made


SETTINGS_FRAME = frame(SETTINGS, 0, 0)
SETTINGS_SEEN = frame(SETTINGS, ACK, 0)
HI = frame(DATA, END_STREAM, STREAM, b"hi")
LATER = struct.pack("!HI", 4, 65_535)  # SETTINGS_INITIAL_WINDOW_SIZE as it is
NO_SETTING = struct.pack("!HI", 0xFAFA, 1)
SAYS_HI = {"assertions": [{"type": "contains", "value": "hi"}]}


def flood(name: str, outcome: Outcome, piece: bytes, begin: bytes = b"", **step: object) -> HostileAnswer:
    return HostileAnswer(name, outcome, sent(begin), repeated(piece), step=step)


def once(name: str, outcome: Outcome, data: bytes, **step: object) -> HostileAnswer:
    return HostileAnswer(name, outcome, sent(data), step=step)


WRONG = Outcome.PROTOCOL
HEADS = [
    flood("CONTINUATION without end", WRONG, frame(CONTINUATION, 0, STREAM, fields((b"x-a", b"1"))), frame(HEADERS, 0, STREAM, OK)),
    flood("empty CONTINUATION without end", WRONG, frame(CONTINUATION, 0, STREAM), frame(HEADERS, 0, STREAM, OK)),
    flood("large CONTINUATION without end", WRONG, frame(CONTINUATION, 0, STREAM, b"\0\1a" + b"\x7f" * 9_000), frame(HEADERS, 0, STREAM)),
    HostileAnswer("a header bomb of 64 MB", WRONG, bomb(16_000)),
    HostileAnswer("a header bomb of 4 GB", WRONG, bomb(1_000_000)),
    HostileAnswer("5,000 header fields", Outcome.OK, lambda: long_head(OK + fields(*((b"x-%d" % n, b"1") for n in range(5_000)))) + HI),
    HostileAnswer("a field of 200 kB", Outcome.OK, lambda: long_head(OK + fields((b"x-a", b"b" * 200_000))) + HI),
    HostileAnswer("a field of 300 kB", WRONG, lambda: long_head(OK + fields((b"x-a", b"b" * 300_000))) + HI),
    once("a number of HPACK without end", WRONG, frame(HEADERS, END_HEADERS, STREAM, b"\xff" * 1_000)),
    once("a place that no table has", WRONG, frame(HEADERS, END_HEADERS, STREAM, b"\xfe")),
    once("a table of 4 GB", WRONG, frame(HEADERS, END_HEADERS, STREAM, b"\x3f\xe0\xff\xff\xff\x0f" + OK)),
    once("new sizes of the table without end", WRONG, frame(HEADERS, END_HEADERS, STREAM, b"\x20" * 16_000)),
    once("Huffman's code that is none", WRONG, frame(HEADERS, END_HEADERS, STREAM, b"\0\x84\xff\xff\xff\xff\1a")),
    once("no status", WRONG, frame(HEADERS, END_HEADERS | END_STREAM, STREAM, fields((b"x-a", b"1")))),
    once("a status that is none", WRONG, frame(HEADERS, END_HEADERS | END_STREAM, STREAM, fields((b":status", b"abc")))),
    flood("hints without end", WRONG, frame(HEADERS, END_HEADERS, STREAM, fields((b":status", b"103"), (b"link", b"</a>")))),
    flood("heads without end", WRONG, head(), head()),
    flood(
        "trailers without end",
        WRONG,
        frame(CONTINUATION, 0, STREAM, fields((b"x-t", b"1"))),
        head() + frame(DATA, 0, STREAM, b"hi") + frame(HEADERS, END_STREAM, STREAM),
    ),
]

BODIES = [
    flood("a body without end", Outcome.TOO_LARGE, frame(DATA, 0, STREAM, b"x" * LONGEST), head()),
    flood("a body in frames of 16 bytes", Outcome.TOO_LARGE, frame(DATA, 0, STREAM, b"x" * 16), head()),
    flood("empty DATA without end", WRONG, frame(DATA, 0, STREAM), head()),
    flood("DATA of padding alone", WRONG, frame(DATA, PADDED, STREAM, b"\xff" + bytes(255)), head()),
    flood("DATA before a head", WRONG, frame(DATA, 0, STREAM, b"x")),
    flood("DATA on a stream that nobody opened", WRONG, frame(DATA, 0, NEXT, b"x")),
    once("more padding than frame", WRONG, head() + frame(DATA, PADDED, STREAM, b"\xffhi")),
    once("a frame of 16 MB", WRONG, head() + frame(DATA, 0, STREAM, b"x" * 1_000, 2**24 - 1)),
    once("less than the length says", WRONG, head((b"content-length", b"9")) + HI),
    once("more than the length says", WRONG, head((b"content-length", b"1")) + HI),
    HostileAnswer("a gzip bomb", Outcome.TOO_LARGE, whole(lambda: gzip_of_zeros(100), (b"content-encoding", b"gzip")), step=LOOKS),
]

FRAMES = [
    flood("SETTINGS without end", WRONG, frame(SETTINGS, 0, 0, LATER)),
    flood("empty SETTINGS without end", WRONG, SETTINGS_FRAME),
    flood("SETTINGS that nobody knows", WRONG, frame(SETTINGS, 0, 0, NO_SETTING * 2_000)),
    flood("acknowledgements that nobody waits for", WRONG, frame(SETTINGS, ACK, 0)),
    flood("PING without end", WRONG, frame(PING, 0, 0, b"12345678")),
    flood("answers to PING without end", WRONG, frame(PING, ACK, 0, b"12345678")),
    flood("GOAWAY without end", WRONG, frame(GOAWAY, 0, 0, struct.pack("!II", 2**31 - 1, 0))),
    flood("PRIORITY without end", WRONG, frame(PRIORITY, 0, STREAM, b"\0\0\0\0\1")),
    flood("frames of a kind that nobody knows", WRONG, frame(0xFA, 0, STREAM, b"x" * 100)),
    flood("windows that open without end", WRONG, frame(WINDOW_UPDATE, 0, 0, struct.pack("!I", 1))),
    once("a window that opens by 0", WRONG, frame(WINDOW_UPDATE, 0, 0, bytes(4))),
    once("a window of more than 2^31", WRONG, frame(WINDOW_UPDATE, 0, 0, struct.pack("!I", 2**31 - 1)) * 2),
    once("SETTINGS of 5 bytes", WRONG, frame(SETTINGS, 0, 0, b"12345")),
    once("PING of 7 bytes", WRONG, frame(PING, 0, 0, b"1234567")),
    once("a promise that nobody allowed", WRONG, frame(PUSH_PROMISE, END_HEADERS, STREAM, struct.pack("!I", 2) + b"\x82\x86\x84")),
    flood("resets of a stream that nobody opened", WRONG, frame(RST_STREAM, 0, NEXT, bytes(4))),
    flood("resets without end", Outcome.CLOSED, frame(RST_STREAM, 0, STREAM, struct.pack("!I", 8))),
    flood("bytes that are no frames", WRONG, b"\xff" * 100),
    once("HTTP/1", WRONG, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
    HostileAnswer("closed without a word", Outcome.CLOSED, bytes, then="cut"),
    HostileAnswer("closed within the body", Outcome.CLOSED, sent(head() + frame(DATA, 0, STREAM, b"h")), then="cut"),
    HostileAnswer("silence", Outcome.TIMEOUT, bytes, then="wait", step=SHORT),
    HostileAnswer("a byte at a time", Outcome.TIMEOUT, sent(head() + frame(DATA, 0, STREAM, b"x" * 9_000)), then="trickle", step=SHORT),
    HostileAnswer("and the next answer is read right", Outcome.OK, sent(head() + HI), step=SAYS_HI),
]

HTTP2_ANSWERS = [*HEADS, *BODIES, *FRAMES]

OVER_TLS = (
    "CONTINUATION without end",
    "a header bomb of 64 MB",
    "a body without end",
    "empty DATA without end",
    "SETTINGS without end",
    "PING without end",
    "bytes that are no frames",
    "closed within the body",
    "and the next answer is read right",
)
HTTP2_TLS_ANSWERS = over_tls(HTTP2_ANSWERS, OVER_TLS)
