"""Each decoder of an answer against its worst input: bounded by what it counts, not by a clock."""

from __future__ import annotations

import gzip
import json
import zlib
from encodings.aliases import aliases

import pytest
from google.protobuf import struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from loadflow.engine.protocols.grpc.reply import holds_more
from loadflow.engine.protocols.http.inflating import MOST_MEMBERS, inflated
from loadflow.engine.protocols.running.charsets import CHARSETS, MOST_WRONG, charset_of, text_in
from loadflow.engine.protocols.running.json_body import MOST_LEVELS, read_json
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.records.outcome import Outcome

MOST = 16 * 2**20
NAMES = [
    ("text/plain", "utf_8"),
    ("text/plain; charset=UTF-8", "utf_8"),
    ('text/plain; charset="ISO-8859-1"', "latin_1"),
    ("text/plain; charset=latin1", "latin_1"),
    ("text/plain; charset=Windows-1252", "cp1252"),
    ("text/plain; charset=Shift_JIS", "shift_jis"),
    ("text/plain; charset=punycode", "utf_8"),
    ("text/plain; charset=idna", "utf_8"),
    ("text/plain; charset=unicode_escape", "utf_8"),
    ("text/plain; charset=rot13", "utf_8"),
    ("text/plain; charset=zlib", "utf_8"),
    ("text/plain; charset=../../etc/passwd", "utf_8"),
    ("text/plain; charset=" + "a" * 100_000, "utf_8"),
]


@pytest.mark.parametrize(("content_type", "charset"), NAMES, ids=[row[0][:50] for row in NAMES])
def test_a_name_of_a_charset_means_one_that_may_decode(content_type: str, charset: str) -> None:
    assert charset_of(content_type) == charset


def test_every_charset_of_the_list_is_one_of_python_and_none_of_the_odd_codecs_is() -> None:
    for name in CHARSETS:
        assert text_in(name, b"") == ""
    codecs = {"base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "rot_13", "uu_codec", "zlib_codec", "mbcs"}
    assert set(aliases.values()) - CHARSETS <= codecs
    assert not CHARSETS & {"punycode", "idna", "undefined", "unicode_escape", "raw_unicode_escape", *codecs}


@given(st.sampled_from(sorted(CHARSETS)), st.binary(max_size=200))
def test_text_is_what_python_makes_of_it(charset: str, body: bytes) -> None:
    assert text_in(charset, body) == body.decode(charset, "replace")


def test_text_that_is_wrong_in_very_many_places_is_read_as_utf_8() -> None:
    assert text_in("cp1252", b"\x81" * MOST_WRONG) == "\ufffd" * MOST_WRONG
    assert text_in("cp1252", "é".encode() + b"\x81" * (MOST_WRONG + 1)).startswith("é")


def test_a_gzip_body_may_have_so_many_members() -> None:
    assert inflated(gzip.compress(b"a") * MOST_MEMBERS, "gzip", MOST) == b"a" * MOST_MEMBERS
    with pytest.raises(HitFailure, match="more than 1,000 members"):
        inflated(gzip.compress(b"a") * (MOST_MEMBERS + 1), "gzip", MOST)


@given(st.lists(st.binary(max_size=100_000), min_size=1, max_size=3), st.sampled_from([b"", b"tail"]))
def test_members_of_any_size_are_joined_and_what_is_behind_them_is_left(parts: list[bytes], tail: bytes) -> None:
    assert inflated(b"".join(map(gzip.compress, parts)) + tail, "gzip", MOST) == b"".join(parts)


@pytest.mark.parametrize("wbits", [15, -15])
def test_deflate_in_both_of_its_formats(wbits: int) -> None:
    packer = zlib.compressobj(wbits=wbits)
    assert inflated(packer.compress(b"hi" * 99) + packer.flush(), "deflate", MOST) == b"hi" * 99


@pytest.mark.parametrize("coding", ["utf-8", "utf-16", "utf-32"])
@pytest.mark.parametrize("levels", [MOST_LEVELS, MOST_LEVELS + 1])
def test_json_may_be_nested_so_deeply(levels: int, coding: str) -> None:
    whole = ("[" * levels + '"\\"]]["' + "]" * levels).encode(coding)
    if levels <= MOST_LEVELS:
        read_json(whole)
        return
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(whole)


def test_brackets_within_texts_are_no_levels() -> None:
    texts = ["[" * 1_000, '\\"[', '"', "{" * 1_000]
    assert read_json(json.dumps(texts)) == texts


def test_json_of_too_many_values_is_not_read() -> None:
    assert len(read_json(b"[" + b"1," * 999 + b"1]", most_bytes=16_000)) == 1_000
    with pytest.raises(HitFailure, match="more than 1,000 values") as raised:
        read_json(b"[" + b"1," * 1_000 + b"1]", most_bytes=16_000)
    assert raised.value.outcome is Outcome.TOO_LARGE


def test_values_within_messages_of_protobuf_are_counted() -> None:
    message = struct_pb2.Struct()
    message.update({"list": [1, 2, {"a": "b"}], "text": "t"})
    assert holds_more([message], 5)
    assert not holds_more([message], 100)
