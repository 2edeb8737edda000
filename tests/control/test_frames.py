"""Frames and legacy requests, without sockets: whole, byte by byte, and with a tail."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadflow.engine.control.frames import MAX_FRAME_BYTES, FrameDecoder, FrameError, encode_frame
from loadflow.engine.control.legacy import MARKER, LegacyDecoder, LegacyError, LegacyRequest, error_answer, line_of, parse, records_answer

FRAMES = [
    ("one frame", b"\x00\x00\x00\x02[]", [b"[]"]),
    ("two frames", b"\x00\x00\x00\x01a\x00\x00\x00\x02bc", [b"a", b"bc"]),
    ("a length that looks like another's start", b"\x00\x00\x00\x04\x00\x00\x00\x01", [b"\x00\x00\x00\x01"]),
    ("nothing", b"", []),
]


@pytest.mark.parametrize(("what", "data", "frames"), FRAMES, ids=[row[0] for row in FRAMES])
@pytest.mark.parametrize("tail", [b"", b"\x00", b"\x00\x00\x00", b"\x00\x00\x00\x05hal"])
def test_frames_come_out_the_same_however_the_bytes_are_cut(what: str, data: bytes, frames: list[bytes], tail: bytes) -> None:
    whole, single = FrameDecoder(), FrameDecoder()
    assert whole.feed(data + tail) == frames
    assert [frame for byte in data + tail for frame in single.feed(bytes([byte]))] == frames
    assert whole.pending_bytes == single.pending_bytes == len(tail)


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=8), st.lists(st.integers(1, 50), min_size=1))
def test_what_is_encoded_is_decoded_in_any_segments(bodies: list[bytes], sizes: list[int]) -> None:
    data = b"".join(map(encode_frame, bodies))
    decoder = FrameDecoder()
    found, at, turn = [], 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        found += decoder.feed(data[at : at + size])
        at, turn = at + size, turn + 1
    assert found == bodies


@pytest.mark.parametrize("length", [0, MAX_FRAME_BYTES + 1, 2**32 - 1])
def test_a_length_out_of_bounds_is_refused_before_a_byte_of_the_body(length: int) -> None:
    decoder = FrameDecoder()
    assert decoder.feed(encode_frame(b"whole") + length.to_bytes(4, "big")) == [b"whole"]
    assert "1 to 1,048,576 bytes" in decoder.broken
    assert decoder.feed(encode_frame(b"more")) == []


def test_the_longest_frame_goes_through() -> None:
    body = b"x" * MAX_FRAME_BYTES
    assert FrameDecoder().feed(encode_frame(body)) == [body]
    with pytest.raises(FrameError):
        encode_frame(body + b"x")
    with pytest.raises(FrameError):
        encode_frame(b"")


LEGACY = [
    ("a bare list", b'[["LD_summary"]]'),
    ("a document", b'{"load_density": [["print", ["}]"]]]}'),
    ("brackets, quotes and backslashes inside of text", rb'[["print", ["a\"]}\\"]]]'),
    ("leading space", b' \r\n[["a"]]'),
    ("a letter of more bytes", '[["print", ["ü€"]]]'.encode()),
    ("the word that ends the server", b"quit_server"),
]


@pytest.mark.parametrize(("what", "data"), LEGACY, ids=[row[0] for row in LEGACY])
def test_a_request_without_frame_ends_where_its_json_ends(what: str, data: bytes) -> None:
    assert LegacyDecoder().feed(data) == data
    decoder = LegacyDecoder()
    assert [decoder.feed(data[at : at + 1]) for at in range(len(data))] == [None] * (len(data) - 1) + [data]


def test_a_cut_behind_a_backslash_keeps_the_escaped_quote() -> None:
    decoder = LegacyDecoder()
    assert decoder.feed(b'["\\') is None
    assert decoder.feed(b'"]') is None
    assert decoder.feed(b'"]') == b'["\\"]"]'


def test_what_comes_until_the_shutdown_is_a_request() -> None:
    decoder = LegacyDecoder()
    assert decoder.feed(b'[["print"') is None
    assert decoder.end() == b'[["print"'
    assert LegacyDecoder().end() is None


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"quit_servers", b"\xff\xfe", b"null", b'"text"'])
def test_what_can_be_no_request_is_refused_at_once(data: bytes) -> None:
    with pytest.raises(LegacyError, match="JSON list, a JSON object, or quit_server"):
        LegacyDecoder().feed(data)


def test_a_request_without_frame_is_bounded() -> None:
    decoder = LegacyDecoder()
    with pytest.raises(LegacyError, match="larger than"):
        for _ in range(17):
            decoder.feed(b"[" * 65_536)


@given(
    st.recursive(st.none() | st.booleans() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)
)
def test_any_json_in_a_list_is_found_byte_by_byte(value: object) -> None:
    data = json.dumps([value], ensure_ascii=False).encode("utf-8", "replace")
    decoder = LegacyDecoder()
    found = [request for at in range(len(data)) if (request := decoder.feed(data[at : at + 1])) is not None]
    assert found == [data]


PARSED = [
    (b"quit_server", LegacyRequest(quit=True)),
    (b'[["a"]]', LegacyRequest(script=[["a"]], text='[["a"]]')),
    (b'{"load_density": []}', LegacyRequest(script={"load_density": []}, text='{"load_density": []}')),
    (b'{"token": "t", "command": [["a"]]}', LegacyRequest(script=[["a"]], token="t", text='{"token": "t", "command": [["a"]]}')),
    (b'{"op": "quit", "token": "t"}', LegacyRequest(quit=True, token="t")),
    (b'{"token": "t"}', LegacyRequest(token="t", text='{"token": "t"}')),
]


@pytest.mark.parametrize(("data", "request_"), PARSED, ids=[row[0].decode() for row in PARSED])
def test_legacy_requests_are_what_loaddensity_takes(data: bytes, request_: LegacyRequest) -> None:
    assert parse(data) == request_


@pytest.mark.parametrize("data", [b"[", b"[\xff]", b"[" * 100_000, b'{"op": "stop"}', b'{"token": "t", "comand": []}'])
def test_other_legacy_requests_are_errors(data: bytes) -> None:
    with pytest.raises(LegacyError):
        parse(data)


LINES = [
    ("text stands as it is", "a text", "a text"),
    ("a number is JSON", 3, "3"),
    ("null is JSON", None, "null"),
    ("an object is JSON", {"a": [True]}, '{"a": [true]}'),
    ("text of two lines is JSON, so that a record is one line", "a\nb", '"a\\nb"'),
    ("the marker as a value is JSON, so that it ends nothing", MARKER, f'"{MARKER}"'),
]


@pytest.mark.parametrize(("what", "value", "line"), LINES, ids=[row[0] for row in LINES])
def test_a_record_is_one_line(what: str, value: object, line: str) -> None:
    assert line_of(value) == line


def test_every_answer_ends_with_the_marker() -> None:
    assert records_answer(["1", "two"]) == b"1\ntwo\nReturn_Data_Over_JE\n"
    assert error_answer("no\n  such thing") == b"Error: no such thing\nReturn_Data_Over_JE\n"
