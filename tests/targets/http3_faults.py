"""What an HTTP/3 server may do to its clients, by the path that asks for it; frames that no library sends are laid out here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aioquic.buffer import encode_uint_var
from aioquic.h3.connection import ErrorCode, FrameType, encode_frame

if TYPE_CHECKING:
    from tests.targets.http3 import Connection

__all__ = ["EARLY", "FAULTS", "goaway", "literal"]

Fault = Callable[["Connection", int], None]

PREFIX = b"\0\0"  # of a section that needs no table (RFC 9204 section 4.5.1)
OK = PREFIX + b"\xd9"  # :status 200, by its number in the static table
PIECE = 60_000


def literal(name: bytes, value: bytes) -> bytes:
    """RFC 9204 section 4.5.6, without Huffman coding."""
    return _length(0x20, 3, len(name)) + name + _length(0, 7, len(value)) + value


def _length(signs: int, bits: int, size: int) -> bytes:
    """RFC 7541 section 5.1."""
    most = (1 << bits) - 1
    if size < most:
        return bytes((signs | size,))
    rest, out = size - most, bytes((signs | most,))
    while rest >= 128:
        out += bytes((rest % 128 + 128,))
        rest //= 128
    return out + bytes((rest,))


def _ok(one: Connection, number: int, *more: tuple[str, str]) -> None:
    one.head(number, [(":status", "200"), *more])
    one.data(number, b"hi", ends=True)
    one.ended()
    one.transmit()


def _frames(*frames: bytes, ends: bool = True) -> Fault:
    return lambda one, number: one.raw(number, b"".join(frames), ends=ends)


def _section(section: bytes) -> Fault:
    return _frames(encode_frame(FrameType.HEADERS, section))


def _flood(frame: bytes, *before: bytes) -> Fault:
    """Without end, as far as the client lets it."""

    def flood(one: Connection, number: int) -> None:
        one.raw(number, b"".join(before) + frame * (12_000_000 // len(frame)))

    return flood


def _reset(code: int) -> Fault:
    return lambda one, number: one.quic.reset_stream(number, code)


def _reset_in_body(one: Connection, number: int) -> None:
    one.head(number, [(":status", "200")])
    one.data(number, b"hi")
    one.transmit()
    one.quic.reset_stream(number, ErrorCode.H3_INTERNAL_ERROR)


def _control(one: Connection, *frames: bytes) -> None:
    assert one.http is not None
    one.quic.send_stream_data(one.http._local_control_stream_id, b"".join(frames))


def goaway(one: Connection, first: int) -> None:
    _control(one, encode_frame(FrameType.GOAWAY, encode_uint_var(first)))


def _unseen(one: Connection, number: int) -> None:
    goaway(one, number)


def _unseen_once(one: Connection, number: int) -> None:
    one.target.counters["unseen"] += 1
    if one.target.counters["unseen"] == 1:
        return _unseen(one, number)
    return _ok(one, number)


def _goodbye(one: Connection, number: int) -> None:
    """A connection that ends in good order: this request is answered, no other will be."""
    goaway(one, number + 4)
    _ok(one, number)


def _answered_and_closed(one: Connection, number: int) -> None:
    _ok(one, number)
    one.cut()


def _interim(one: Connection, number: int) -> None:
    one.raw(number, encode_frame(FrameType.HEADERS, PREFIX + b"\xd8" + literal(b"link", b"</a>")))
    one.raw(number, encode_frame(FrameType.HEADERS, PREFIX + b"\xff\x00"))  # 103, and 100
    _ok(one, number)


def _trailers(one: Connection, number: int) -> None:
    one.head(number, [(":status", "200")])
    one.data(number, b"hi")
    one.head(number, [("x-sum", "1")], ends=True)


def _grease(one: Connection, number: int) -> None:
    """Frames, streams and settings that mean nothing (RFC 9114 section 7.2.8)."""
    stream = one.quic.get_next_available_stream_id(is_unidirectional=True)
    one.quic.send_stream_data(stream, encode_uint_var(0x21) + b"nothing", True)
    _control(one, encode_frame(0x1F * 7 + 0x21, b"nothing"))
    one.raw(number, encode_frame(0x21, b"x" * 1000))
    one.head(number, [(":status", "200")])
    one.raw(number, encode_frame(0x1F * 9 + 0x21, b""))
    one.data(number, b"hi")
    one.raw(number, encode_frame(0x21, b"x"), ends=True)


def _small_frames(one: Connection, number: int) -> None:
    one.head(number, [(":status", "200")])
    for _ in range(1000):
        one.data(number, b"x")
    one.end(number)


def _field_of(size: int) -> Fault:
    return _section(OK + literal(b"x", b"v" * size))


def _packed_bomb(one: Connection, number: int) -> None:
    """The number of a field of 100 bytes, 100,000 times: 10 MB in 200 KB."""
    one.raw(number, encode_frame(FrameType.HEADERS, OK + b"\xfa" * 100_000), ends=True)


def _endless(one: Connection, number: int) -> None:
    one.raw(number, encode_frame(FrameType.HEADERS, OK) + encode_frame(FrameType.DATA, bytes(12_000_000)))


def _early(one: Connection, number: int) -> None:
    """An answer to a request that is not whole, and the word that the rest need not be sent (RFC 9114 section 4.1)."""
    one.head(number, [(":status", "413")], ends=True)
    one.quic.stop_stream(number, ErrorCode.H3_NO_ERROR)
    one.transmit()


def _silence(one: Connection, number: int) -> None:
    """No answer; to others there is one."""


def _uni(*pieces: bytes) -> Fault:
    def send(one: Connection, number: int) -> None:
        stream = one.quic.get_next_available_stream_id(is_unidirectional=True)
        one.quic.send_stream_data(stream, b"".join(pieces))

    return send


def _end_control(one: Connection, number: int) -> None:
    assert one.http is not None
    one.quic.send_stream_data(one.http._local_control_stream_id, b"", True)


def _table(one: Connection, number: int) -> None:
    """An entry for a table that the client does not have."""
    assert one.http is not None
    one.quic.send_stream_data(one.http._local_encoder_stream_id, b"\x3f\xe1\x1f\x43x-a\x011")


def _on_control(frame: bytes) -> Fault:
    return lambda one, number: _control(one, frame)


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
            one.head(each, [(":status", "200")])
            one.data(each, b"hi ")
        for each in held:
            one.data(each, one.streams[each].header("x-number").encode(), ends=True)
            one.ended()
        one.held.clear()


def _half(one: Connection, number: int) -> None:
    """Of the first that are there, the server looks at half, and says goodbye to the others (RFC 9114 section 5.2)."""
    if one.target.counters["halves"]:
        return _ok(one, number)
    one.held.append(number)
    if len(one.held) < _count(one, number):
        return None
    one.target.counters["halves"] += 1
    seen = one.held[: len(one.held) // 2]
    goaway(one, seen[-1] + 4)
    for held in seen:
        _ok(one, held)
    return None


def _refused_at_first(one: Connection, number: int) -> None:
    """Each number is refused once."""
    name = f"refused {one.streams[number].header('x-number')}"
    one.target.counters[name] += 1
    if one.target.counters[name] == 1:
        return one.quic.reset_stream(number, ErrorCode.H3_REQUEST_REJECTED)
    return _ok(one, number)


def _cut_all(one: Connection, number: int) -> None:
    """The connection ends when as many are there as each says, without an answer to any."""
    one.held.append(number)
    if len(one.held) >= _count(one, number):
        one.cut()


EARLY: dict[str, Fault] = {"/h3/early": _early}

FAULTS: dict[str, Fault] = {
    "/h3/refused": _reset(ErrorCode.H3_REQUEST_REJECTED),
    "/h3/cancel": _reset(ErrorCode.H3_REQUEST_CANCELLED),
    "/h3/reset-in-body": _reset_in_body,
    "/h3/close-error": lambda one, _: one.cut(ErrorCode.H3_EXCESSIVE_LOAD),
    "/h3/unseen-once": _unseen_once,
    "/h3/unseen": _unseen,
    "/h3/goodbye": _goodbye,
    "/h3/answered-and-closed": _answered_and_closed,
    "/h3/interim": _interim,
    "/h3/trailers": _trailers,
    "/h3/grease": _grease,
    "/h3/small-frames": _small_frames,
    "/h3/wrong-length": lambda one, number: _ok(one, number, ("content-length", "5")),
    "/h3/silence": _silence,
    "/h3/together": _together,
    "/h3/backwards": _backwards,
    "/h3/half": _half,
    "/h3/refused-at-first": _refused_at_first,
    "/h3/cut-all": _cut_all,
    "/h3/no-status": _section(PREFIX + literal(b"x", b"1")),
    "/h3/upper-case": _section(OK + literal(b"X-Upper", b"1")),
    "/h3/connection-field": _section(OK + literal(b"connection", b"close")),
    "/h3/line-break": _section(OK + literal(b"x", b"a\r\nb")),
    "/h3/no-head": _frames(),
    "/h3/bad-packing": _section(PREFIX + b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
    "/h3/badly-coded": _section(OK + b"\x21x\x82\xff\xff"),
    "/h3/of-a-table": _section(b"\x02\0\x80"),
    "/h3/large-field": _field_of(200_000),
    "/h3/too-large-a-field": _field_of(300_000),
    "/h3/packed-bomb": _packed_bomb,
    "/h3/endless-head": _frames(encode_uint_var(FrameType.HEADERS) + encode_uint_var(1 << 40) + OK, ends=False),
    "/h3/endless": _endless,
    "/h3/lines": _frames(encode_frame(FrameType.HEADERS, OK), encode_frame(FrameType.DATA, b"1\n2\n3\n"), ends=False),
    "/h3/empty-frames": _flood(encode_frame(FrameType.DATA, b""), encode_frame(FrameType.HEADERS, OK)),
    "/h3/grease-flood": _flood(encode_frame(0x21, bytes(1000))),
    "/h3/interim-flood": _flood(encode_frame(FrameType.HEADERS, PREFIX + b"\xd8")),
    "/h3/stream-flood": _uni(encode_uint_var(0x21), bytes(12_000_000)),
    "/h3/data-without-head": _frames(encode_frame(FrameType.DATA, b"hi")),
    "/h3/cut-frame": _frames(encode_frame(FrameType.HEADERS, OK), b"\0\x05hi"),
    "/h3/settings-in-answer": _frames(encode_frame(FrameType.SETTINGS, b"")),
    "/h3/push": _frames(encode_frame(FrameType.PUSH_PROMISE, b"\0" + OK)),
    "/h3/push-stream": _uni(b"\x01\0"),
    "/h3/second-control": _uni(b"\0"),
    "/h3/end-control": _end_control,
    "/h3/settings-twice": _on_control(encode_frame(FrameType.SETTINGS, b"")),
    "/h3/data-on-control": _on_control(encode_frame(FrameType.DATA, b"hi")),
    "/h3/table": _table,
    "/h3/garbage": _frames(b"\xff" * 1000),
}
