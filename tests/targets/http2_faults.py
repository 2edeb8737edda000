"""What an HTTP/2 server may do to its clients, by the path that asks for it; frames that no library sends are laid out here."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from h2.errors import ErrorCodes

if TYPE_CHECKING:
    from tests.targets.http2 import Connection

__all__ = ["EARLY", "FAULTS", "frame"]

Fault = Callable[["Connection", int], None]

DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 9
END_STREAM, END_HEADERS = 1, 4
OK = b"\x88"  # :status 200, by its number in the static table of RFC 7541
FLOOD = 400_000  # more than any client takes


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """RFC 9113 section 4.1."""
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def _goaway(last: int, code: ErrorCodes) -> bytes:
    return frame(GOAWAY, 0, 0, struct.pack(">II", last, code))


def _ok(one: Connection, number: int, *more: tuple[str, str]) -> None:
    one.h2.send_headers(number, [(":status", "200"), *more])
    one.h2.send_data(number, b"hi", end_stream=True)
    one.flush()


def _flood(one: Connection, *frames: bytes) -> None:
    """Without end, as far as the client lets it; it never reads what the client says."""
    block = b"".join(frames) * max(1, 60_000 // len(b"".join(frames)))
    for _ in range(FLOOD):
        one.raw(block)


def _reset(code: ErrorCodes) -> Fault:
    return lambda one, number: one.h2.reset_stream(number, code)


def _reset_in_body(one: Connection, number: int) -> None:
    one.h2.send_headers(number, [(":status", "200")])
    one.h2.send_data(number, b"hi")
    one.h2.reset_stream(number, ErrorCodes.INTERNAL_ERROR)


def _goaway_error(one: Connection, number: int) -> None:
    one.raw(_goaway(number, ErrorCodes.ENHANCE_YOUR_CALM))
    one.open = False


def _unseen_once(one: Connection, number: int) -> None:
    one.target.counters["unseen"] += 1
    if one.target.counters["unseen"] == 1:
        return _unseen(one, number)
    return _ok(one, number)


def _unseen(one: Connection, number: int) -> None:
    one.raw(_goaway(max(number - 2, 0), ErrorCodes.NO_ERROR))
    one.wait(60)  # the client goes


def _goodbye(one: Connection, number: int) -> None:
    """A connection that ends in good order: this request is answered, no other will be."""
    one.raw(_goaway(number, ErrorCodes.NO_ERROR))
    _ok(one, number)
    one.wait(60)


def _answered_and_closed(one: Connection, number: int) -> None:
    _ok(one, number)
    one.open = False


def _pings(one: Connection, number: int) -> None:
    """Answers when its pings and its new settings were acknowledged."""
    before = one.acks.total()
    for data in (b"12345678", b"87654321"):
        one.h2.ping(data)
    one.h2.update_settings({1: 0, 3: 100, 4: 1000})  # table size, streams at once, window
    one.flush()
    while one.acks.total() < before + 3 and one.pump(10):
        pass
    _ok(one, number)


def _ping_when_idle(one: Connection, number: int) -> None:
    _ok(one, number)
    before = one.acks["PingAckReceived"]
    one.h2.ping(b"are you?")
    one.flush()
    while one.acks["PingAckReceived"] == before and one.pump(10):
        pass
    one.target.counters["idle pings answered"] += one.acks["PingAckReceived"] - before


def _interim(one: Connection, number: int) -> None:
    one.h2.send_headers(number, [(":status", "103"), ("link", "</a>")])
    one.h2.send_headers(number, [(":status", "100")])
    _ok(one, number)


def _trailers(one: Connection, number: int) -> None:
    one.h2.send_headers(number, [(":status", "200")])
    one.h2.send_data(number, b"hi", pad_length=100)
    one.h2.send_headers(number, [("x-sum", "1")], end_stream=True)


def _small_frames(one: Connection, number: int) -> None:
    one.h2.send_headers(number, [(":status", "200")])
    for _ in range(1000):
        one.h2.send_data(number, b"x")
    one.h2.end_stream(number)


def _wrong_length(one: Connection, number: int) -> None:
    _ok(one, number, ("content-length", "5"))


def _block(payload: bytes) -> Fault:
    """An answer of these header bytes."""
    return lambda one, number: one.raw(frame(HEADERS, END_HEADERS | END_STREAM, number, payload))


def _literal(name: bytes, value: bytes) -> bytes:
    """RFC 7541 section 6.2.2, without Huffman coding; lengths below 127."""
    return b"\x00" + bytes((len(name),)) + name + bytes((len(value),)) + value


def _length(size: int) -> bytes:
    """RFC 7541 section 5.1, of a length that does not fit into seven bits."""
    rest, out = size - 127, b"\x7f"
    while rest >= 128:
        out += bytes((rest % 128 + 128,))
        rest //= 128
    return out + bytes((rest,))


def _in_pieces(one: Connection, number: int, block: bytes) -> None:
    pieces = [block[at : at + 16_000] for at in range(0, len(block), 16_000)]
    one.raw(frame(HEADERS, END_STREAM, number, pieces[0]), *(frame(CONTINUATION, 0, number, piece) for piece in pieces[1:-1]))
    one.raw(frame(CONTINUATION, END_HEADERS, number, pieces[-1]))


def _field_of(size: int) -> Fault:
    return lambda one, number: _in_pieces(one, number, OK + b"\x00\x01x" + _length(size) + b"v" * size)


def _packed_bomb(one: Connection, number: int) -> None:
    """A field of 4,000 bytes, then 15,000 times its number in the table: 60 MB in 19 KB."""
    _in_pieces(one, number, OK + b"\x40\x01x" + _length(4000) + b"v" * 4000 + b"\xbe" * 15_000)


def _continuations(one: Connection, number: int) -> None:
    one.raw(frame(HEADERS, 0, number, OK))
    _flood(one, frame(CONTINUATION, 0, number, _literal(b"x", b"v" * 100) * 100))


def _endless(one: Connection, number: int) -> None:
    one.raw(frame(HEADERS, END_HEADERS, number, OK))
    while one.open and number not in one.given_up:
        one.send(number, bytes(65536))


def _empty_frames(one: Connection, number: int) -> None:
    one.raw(frame(HEADERS, END_HEADERS, number, OK))
    _flood(one, frame(DATA, 0, number))


def _early(one: Connection, number: int) -> None:
    """An answer to a request that is not whole, and the word that the rest need not be sent (RFC 9113 section 8.1)."""
    one.h2.send_headers(number, [(":status", "413")], end_stream=True)
    one.h2.reset_stream(number, ErrorCodes.NO_ERROR)


def _silence(one: Connection, number: int) -> None:
    """No answer; to others there is one."""


def _deaf(one: Connection, number: int) -> None:
    """Nothing more on this connection, to nobody."""
    one.target.left.wait()


def _count(one: Connection, number: int) -> int:
    return int(one.streams[number].header(":path").partition("count=")[2])


def _together(one: Connection, number: int) -> None:
    """Answers when as many are there as each says, and from then on at once."""
    one.held.append(number)
    if one.have_met or len(one.held) >= _count(one, number):
        one.have_met = True
        for held in one.held:
            _ok(one, held)
        one.held.clear()


def _backwards(one: Connection, number: int) -> None:
    """The same, the last one first, and each in two parts with those of others between them."""
    one.held.append(number)
    if len(one.held) >= _count(one, number):
        held = one.held[::-1]
        for each in held:
            one.h2.send_headers(each, [(":status", "200")])
            one.h2.send_data(each, b"hi ")
        for each in held:
            one.h2.send_data(each, str(one.streams[each].header("x-number")).encode(), end_stream=True)
        one.held.clear()


def _half(one: Connection, number: int) -> None:
    """Of the first that are there, the server looks at half, and says goodbye to the others (RFC 9113 section 6.8)."""
    if one.target.counters["halves"]:
        return _ok(one, number)
    one.held.append(number)
    if len(one.held) < _count(one, number):
        return None
    one.target.counters["halves"] += 1
    seen = one.held[: len(one.held) // 2]
    one.raw(_goaway(seen[-1], ErrorCodes.NO_ERROR))
    for held in seen:
        _ok(one, held)
    one.wait(60)  # the client goes
    return None


def _refused_at_first(one: Connection, number: int) -> None:
    """Each number is refused once."""
    name = f"refused {one.streams[number].header('x-number')}"
    one.target.counters[name] += 1
    if one.target.counters[name] == 1:
        return one.h2.reset_stream(number, ErrorCodes.REFUSED_STREAM)
    return _ok(one, number)


def _fewer(one: Connection, number: int) -> None:
    """From this answer on one stream at once. h2 takes the client's next word for that, so what was told before has its own first."""
    told = 2 + one.target.counters[f"fewer on {one.number}"]  # the first settings, and those of the target
    while one.open and one.acks["SettingsAcknowledged"] < told:
        one.pump(10)
    one.target.counters[f"fewer on {one.number}"] += 1
    one.h2.update_settings({3: 1})
    _ok(one, number)


def _cut_all(one: Connection, number: int) -> None:
    """The connection ends when as many are there as each says, without an answer to any."""
    one.held.append(number)
    one.open = len(one.held) < _count(one, number)


EARLY: dict[str, Fault] = {"/h2/early": _early}

FAULTS: dict[str, Fault] = {
    "/h2/refused": _reset(ErrorCodes.REFUSED_STREAM),
    "/h2/cancel": _reset(ErrorCodes.CANCEL),
    "/h2/reset-in-body": _reset_in_body,
    "/h2/goaway-error": _goaway_error,
    "/h2/unseen-once": _unseen_once,
    "/h2/unseen": _unseen,
    "/h2/goodbye": _goodbye,
    "/h2/answered-and-closed": _answered_and_closed,
    "/h2/pings": _pings,
    "/h2/ping-when-idle": _ping_when_idle,
    "/h2/interim": _interim,
    "/h2/trailers": _trailers,
    "/h2/small-frames": _small_frames,
    "/h2/wrong-length": _wrong_length,
    "/h2/silence": _silence,
    "/h2/deaf": _deaf,
    "/h2/together": _together,
    "/h2/backwards": _backwards,
    "/h2/half": _half,
    "/h2/refused-at-first": _refused_at_first,
    "/h2/fewer": _fewer,
    "/h2/cut-all": _cut_all,
    "/h2/no-status": _block(_literal(b"x", b"1")),
    "/h2/upper-case": _block(OK + _literal(b"X-Upper", b"1")),
    "/h2/connection-field": _block(OK + _literal(b"connection", b"close")),
    "/h2/line-break": _block(OK + _literal(b"x", b"a\r\nb")),
    "/h2/bad-packing": _block(b"\xff\xff\xff\xff\xff\xff\xff\xff"),
    "/h2/large-field": _field_of(200_000),
    "/h2/too-large-a-field": _field_of(300_000),
    "/h2/packed-bomb": _packed_bomb,
    "/h2/continuations": _continuations,
    "/h2/endless": _endless,
    "/h2/lines": lambda one, number: one.raw(frame(HEADERS, END_HEADERS, number, OK) + frame(DATA, 0, number, b"1\n2\n3\n")),
    "/h2/empty-frames": _empty_frames,
    "/h2/ping-flood": lambda one, number: _flood(one, frame(PING, 0, 0, bytes(8))),
    "/h2/settings-flood": lambda one, number: _flood(one, frame(SETTINGS, 0, 0)),
    "/h2/interim-flood": lambda one, number: _flood(one, frame(HEADERS, END_HEADERS, number, b"\x08\x03103")),
    "/h2/data-without-head": lambda one, number: one.raw(frame(DATA, END_STREAM, number, b"hi")),
    "/h2/other-stream": lambda one, number: one.raw(frame(HEADERS, END_HEADERS, number + 2, OK)),
    "/h2/too-long-a-frame": lambda one, number: one.raw(frame(DATA, 0, number, bytes(100_000))),
    "/h2/push": lambda one, number: one.raw(frame(PUSH_PROMISE, END_HEADERS, number, struct.pack(">I", 2) + b"\x82\x84\x86")),
    "/h2/garbage": lambda one, number: one.raw(b"\xff" * 1000),
}
