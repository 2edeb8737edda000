"""Line protocol: whatever a text holds, it is one line and one value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadflow.engine.exporters.influxdb.line import line
from loadflow.engine.exporters.shared.lines import DATAGRAM_BYTES, datagrams

LINES = [
    ("a plain one", {"name": "/a"}, {"n": 1}, r"m,name=/a n=1i 5000000"),
    ("comma, equals sign, space", {"name": "a,b=c d"}, {"n": 1}, r"m,name=a\,b\=c\ d n=1i 5000000"),
    ("no text", {"name": ""}, {"n": 1}, "m n=1i 5000000"),
    ("a line feed", {"name": "a\nb"}, {"n": 1}, r"m,name=a\ b n=1i 5000000"),
    ("a backslash at the end", {"name": "a\\"}, {"n": 1}, "m,name=a/ n=1i 5000000"),
    ("a backslash before a comma", {"name": "a\\,b"}, {"n": 1}, r"m,name=a/\,b n=1i 5000000"),
    ("a backslash elsewhere", {"name": r"C:\dir"}, {"n": 1}, r"m,name=C:\dir n=1i 5000000"),
    ("tags in order", {"z": "1", "a": "2"}, {"n": 1}, "m,a=2,z=1 n=1i 5000000"),
    ("every kind of field", {}, {"f": 0.5, "b": True, "t": 'say "\\"'}, r'm f=0.5,b=true,t="say \"\\\"" 5000000'),
    ("numbers that are none", {}, {"n": 1, "f": float("nan"), "g": float("inf")}, "m n=1i 5000000"),
]


@pytest.mark.parametrize(("what", "tags", "fields", "expected"), LINES, ids=[row[0] for row in LINES])
def test_a_line_is_written_so(what: str, tags: dict[str, str], fields: dict[str, float], expected: str) -> None:
    assert line("m", tags, fields, 5) == expected


@given(st.lists(st.integers(1, 3_000), min_size=1, max_size=50))
def test_datagrams_hold_whole_lines_and_stay_small(lengths: list[int]) -> None:
    lines = ["x" * length for length in lengths]
    packed = list(datagrams(lines))
    assert [one for datagram, _ in packed for one in datagram.decode().split("\n")] == lines
    assert all(datagram.count(b"\n") + 1 == count for datagram, count in packed)
    assert all(len(datagram) <= DATAGRAM_BYTES or count == 1 for datagram, count in packed)
