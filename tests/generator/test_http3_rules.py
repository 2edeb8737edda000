"""Header fields of HTTP/3 in the core, held against ls-qpack: each reads what the other writes."""

from __future__ import annotations

from typing import Any

import pylsqpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.generator.rules import rules, the_core

Fields = list[tuple[bytes, bytes]]

# names that have a number, with and without their usual value, and others
KNOWN = [b":status", b":path", b"content-type", b"x-frame-options", b"cookie", b"server", b"content-security-policy", b"etag"]
USUAL = [b"200", b"/", b"text/html; charset=utf-8", b"sameorigin", b"", b"1; mode=block", b"max-age=31536000"]
names = st.sampled_from(KNOWN) | st.from_regex(rb"[a-z0-9!#$%&'*+.^_`|~-]{1,300}", fullmatch=True)
values = st.sampled_from(USUAL) | st.binary(max_size=500) | st.text(max_size=200).map(str.encode)
fields = st.lists(st.tuples(names, values), min_size=1, max_size=20)  # ls-qpack takes no empty section, and nobody sends one


@pytest.fixture(scope="module")
def core() -> Any:
    return the_core()


@rules
@given(fields)
def test_what_ls_qpack_writes_is_read(core: Any, written: Fields) -> None:
    _, section = pylsqpack.Encoder().encode(0, written)
    assert core.fields_of_section(section, 1 << 20) == written


@rules
@given(fields)
def test_ls_qpack_reads_what_is_written(core: Any, written: Fields) -> None:
    _, found = pylsqpack.Decoder(0, 0).feed_header(0, core.section_of_fields(written))
    assert found == written


@rules
@given(st.binary(max_size=200))
def test_any_bytes_are_fields_or_none(core: Any, section: bytes) -> None:
    """What the core takes, ls-qpack takes for the same."""
    found = core.fields_of_section(section, 1 << 20)
    if found:
        assert pylsqpack.Decoder(0, 0).feed_header(0, section)[1] == found


@rules
@given(fields, st.integers(min_value=0, max_value=3000))
def test_fields_of_more_bytes_than_are_taken_are_refused(core: Any, written: Fields, most: int) -> None:
    size = sum(len(name) + len(value) + 32 for name, value in written)
    found = core.fields_of_section(core.section_of_fields(written), most)
    assert found == (written if size <= most else None)


def test_a_head_is_read_as_it_was_laid_out(core: Any) -> None:
    lines = b"POST /a?b=1 HTTP/1.1\r\nHost: shop.example:8443\r\nUser-Agent: loadflow\r\nX-B: \xfc\r\nContent-Length: 2\r\n"
    frame = core.head_of_http3(lines, "shop.example", 8443)
    assert (frame[0], frame[1]) == (1, len(frame) - 2)
    _, found = pylsqpack.Decoder(0, 0).feed_header(0, frame[2:])
    pseudo = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"shop.example:8443"), (b":path", b"/a?b=1")]
    assert found == [*pseudo, (b"user-agent", b"loadflow"), (b"x-b", b"\xfc"), (b"content-length", b"2")]
