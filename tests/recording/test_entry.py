"""What becomes of one entry: a table of what is recorded and what the step then says."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.recording.build import converted, entry, step

FORM = "application/x-www-form-urlencoded"
PNG = b"\x89PNG\r\n\x1a\n\x00\xff"


def posted(mime: str, text: str, **more: Any) -> dict[str, Any]:
    return entry("POST", post={"mimeType": mime, "text": text, **more}, headers={"Content-Type": mime})


def multipart(*parts: tuple[str, bytes]) -> dict[str, Any]:
    body = b"".join(f"--xx\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + content + b"\r\n" for head, content in parts)
    text = base64.b64encode(body + b"--xx--\r\n").decode()
    return posted("multipart/form-data; boundary=xx", text, encoding="base64")


STEPS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("the method is written small", entry("PATCH"), {"method": "patch"}),
    ("the URL keeps its query", entry(url="http://h/a?b=1&b=2"), {"request_url": "http://h/a?b=1&b=2"}),
    ("the URL loses its fragment", entry(url="http://h/a#b"), {"request_url": "http://h/a"}),
    ("the name has no query", entry(url="http://h/a?b=1"), {"name": "/a"}),
    ("the name of the root is /", entry(url="http://h"), {"name": "/"}),
    ("numbers in a name are ids", entry(url="http://h/v2/items/17/x"), {"name": "/v2/items/{id}/x"}),
    ("a UUID in a name is an id", entry(url="http://h/u/0b7d4f0e-7c7e-4b8a-9d7c-2f1f7d3b6a55"), {"name": "/u/{id}"}),
    ("a generated word in a name is an id", entry(url="http://h/u/a8Kd93Lm2Qx"), {"name": "/u/{id}"}),
    ("words in a name stay", entry(url="http://h/terms-and-conditions/2"), {"name": "/terms-and-conditions/{id}"}),
    (
        "fields of the connection are not kept",
        entry(headers={"Host": "h", ":authority": "h", "connection": "close", "Accept-Encoding": "br", "cookie": "", "X": "1"}),
        {"headers": {"X": "1"}},
    ),
    ("fields that are there twice are joined", entry(headers=[("X", "1"), ("x", "2")]), {"headers": {"X": "1, 2"}}),
    ("a status is asserted", entry(status=404), {"assertions": [{"type": "status_code", "value": 404}]}),
    ("304 may as well be 200", entry(status=304), {"assertions": [{"type": "status_code", "value": [200, 304]}]}),
    ("no status, no assertion", entry(status=0), {"assertions": None}),
    ("a status in words is none", entry(status="200"), {"assertions": None}),
    ("JSON is json", posted("application/json", '{"a": [1, null, "x"]}'), {"json": {"a": [1, None, "x"]}, "data": None}),
    ("a JSON dialect is json", posted("application/vnd.api+json", "[1]"), {"json": [1]}),
    ("wrong JSON is text", posted("application/json", "{a}"), {"json": None, "data": "{a}"}),
    ("a key that is there twice makes it text", posted("application/json", '{"a":1,"a":2}'), {"data": '{"a":1,"a":2}'}),
    ("JSON null is text", posted("application/json", "null"), {"data": "null"}),
    ("NaN is text", posted("application/json", "[NaN]"), {"data": "[NaN]"}),
    ("deep JSON is text", posted("application/json", "[" * 60 + "]" * 60), {"data": "[" * 60 + "]" * 60}),
    ("a form is pairs", posted(FORM, "a=1&a=2&b=&c=x+y%26"), {"data": [["a", "1"], ["a", "2"], ["b", ""], ["c", "x y&"]]}),
    ("a form with a bare word is text", posted(FORM, "a&b=1"), {"data": "a&b=1"}),
    ("a form that is no UTF-8 is text", posted(FORM, "a=%ff"), {"data": "a=%ff"}),
    (
        "params stand in for the text",
        entry("POST", post={"mimeType": FORM, "params": [{"name": "a", "value": "1"}, {"name": "a", "value": "é"}]}),
        {"data": [["a", "1"], ["a", "é"]]},
    ),
    ("another body is text", posted("text/xml", "<a>é</a>"), {"data": "<a>é</a>", "headers": {"Content-Type": "text/xml"}}),
    ("Base64 of text is that text", posted("text/plain", "aGk=", encoding="base64"), {"data": "hi"}),
    (
        "bytes that are no text stay Base64",
        posted("image/png", base64.b64encode(PNG).decode(), encoding="base64"),
        {"data_base64": base64.b64encode(PNG).decode()},
    ),
    (
        "files and fields of a multipart form survive",
        multipart(
            ('name="note"', b"hi"),
            ('name="note"', b"ho"),
            ('name="f"; filename="a \\"b\\".png"\r\nContent-Type: image/png', PNG),
            ('name="f"; filename="t.txt"\r\nContent-Type: text/plain', b"two\r\nlines"),
        ),
        {
            "data": [["note", "hi"], ["note", "ho"]],
            "files": [
                {"field": "f", "filename": 'a "b".png', "content_type": "image/png", "content_base64": base64.b64encode(PNG).decode()},
                {"field": "f", "filename": "t.txt", "content_type": "text/plain", "content": "two\r\nlines"},
            ],
            "headers": None,
        },
    ),
    ("a multipart form without files stays one", multipart(('name="a"', b"1")), {"files": [], "data": [["a", "1"]]}),
    ("a broken multipart form is sent as it is", posted("multipart/form-data; boundary=x", "no"), {"data": "no"}),
    ("a literal ${ comes from a variable", posted("text/plain", "a ${b}"), {"data": "a ${var.dollar}{b}"}),
    ("a literal ${ in a JSON key makes it text", posted("application/json", '{"${a}": 1}'), {"data": '{"${var.dollar}{a}": 1}'}),
    ("a literal ${ in a URL is encoded", entry(url="http://h/${a}?b=${c}"), {"request_url": "http://h/%24{a}?b=%24{c}"}),
    ("credentials of a URL are basic auth", entry(url="http://u@h/"), {"request_url": "http://h/", "auth": ...}),
    (
        "cookies that no response set are the step's",
        entry(headers={"Cookie": "theme=dark; lang=de"}),
        {"cookies": {"theme": "dark", "lang": "de"}},
    ),
]


@pytest.mark.parametrize(("recorded", "expected"), [row[1:] for row in STEPS], ids=[row[0] for row in STEPS])
def test_a_step_says_what_was_recorded(recorded: dict[str, Any], expected: dict[str, Any]) -> None:
    made = step(recorded)
    for key, value in expected.items():
        assert (made.get(key) is not None) if value is ... else made.get(key) == value, key


LEFT_OUT: list[tuple[str, Any, str]] = [
    ("ws", entry(url="wss://h/"), "WebSocket"),
    ("an upgrade", entry(status=101), "WebSocket"),
    ("Chrome's mark of a socket", entry(_resourceType="websocket"), "WebSocket"),
    ("an Upgrade field", entry(headers={"Upgrade": "websocket"}), "WebSocket"),
    ("data:", entry(url="data:text/plain,hi"), "data: URL"),
    ("blob:", entry(url="blob:http://h/1"), "blob: URL"),
    ("CONNECT", entry("CONNECT", "http://h:443"), "CONNECT"),
    ("another scheme", entry(url="chrome-extension://abc/x.js"), "not HTTP"),
    ("a relative URL", entry(url="/a"), "not HTTP"),
    ("another method", entry("PROPFIND"), "PROPFIND"),
    ("a wrong port", entry(url="http://h:port/"), "malformed"),
    ("half an IPv6 address", entry(url="http://[::1/"), "malformed"),
    ("no URL", entry(url=""), "no URL"),
    ("no object", 7, "no URL"),
    ("half a character", entry(url="http://h/\ud800"), "surrogate"),
]


@pytest.mark.parametrize(("recorded", "reason"), [row[1:] for row in LEFT_OUT], ids=[row[0] for row in LEFT_OUT])
def test_what_cannot_be_played_is_left_out_with_the_reason(recorded: Any, reason: str) -> None:
    made = converted(entry(), recorded)
    assert len(made.tasks) == 1
    (left_out,) = made.report.left_out
    assert left_out.index == 1
    assert reason in left_out.reason


def test_what_a_recorder_did_not_keep_is_noted() -> None:
    one = entry("POST")
    one["request"]["bodySize"] = 12
    file = entry("POST", post={"mimeType": "multipart/form-data", "params": [{"name": "f", "fileName": "a.png"}]})
    notes = converted(one, file, entry(headers={"X": "a\nb"})).report.notes
    assert ["body" in notes[0], "content of 1 file" in notes[1], "header 'X'" in notes[2]] == [True] * 3
