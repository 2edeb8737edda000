"""One entry, one step: each row a sentence, what was recorded, and the keys of the step."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from loadflow.errors import CommandError
from tests.recording.hars import converted, entry, step

U = "http://shop.example/a"
FORM = "application/x-www-form-urlencoded"
MULTI = "multipart/form-data; boundary=XX"
GONE: Any = None  # the step has no such key


def post(body: str, mime: str, **more: Any) -> dict[str, Any]:
    return entry(U, "POST", body=body, mime=mime, **more)


def parts(*texts: str) -> str:
    return "".join(f"--XX\r\n{text}\r\n" for text in texts) + "--XX--\r\n"


def field(name: str, value: str, more: str = "") -> str:
    return f'Content-Disposition: form-data; name="{name}"{more}\r\n\r\n{value}'


TYPE = {"Content-Type": "text/plain"}
STEPS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("the URL is kept word for word", entry(f"{U}?b=1&c=%20x"), {"method": "get", "request_url": f"{U}?b=1&c=%20x"}),
    ("a fragment is never sent", entry(f"{U}#top"), {"request_url": U}),
    ("the name has no query", entry(f"{U}?page=2"), {"name": "GET /a"}),
    ("a host alone is named /", entry("http://shop.example"), {"name": "GET /"}),
    ("ids in the path are not in the name", entry(f"{U}/8f14e45f-ceea-167a-5a36-dedd4bea2543/x/123456"), {"name": "GET /a/{id}/x/{id}"}),
    ("versions and words stay in the name", entry(f"{U}/v2/step-2/utf-8"), {"name": "GET /a/v2/step-2/utf-8"}),
    (
        "fields that the engine writes are left to it",
        entry(
            U,
            headers={
                "Host": "x",
                ":path": "/a",
                "content-length": "1",
                "Connection": "close",
                "TE": "trailers",
                "accept-encoding": "br",
                "X-A": "1",
            },
        ),
        {"headers": {"X-A": "1"}},
    ),
    (
        "header names are kept as recorded, repeated ones joined",
        entry(U, headers=[("x-a", "1"), ("X-A", "2")]),
        {"headers": {"x-a": "1, 2"}},
    ),
    ("no headers, no key", entry(U), {"headers": GONE}),
    ("a header over lines can't be sent", entry(U, headers={"X-A": "a\nb"}), {"headers": GONE}),
    ("a placeholder in a header is text", entry(U, headers={"X-A": "${x}"}), {"headers": {"X-A": "${var.dollar_sign}{x}"}}),
    ("a placeholder in the URL is encoded", entry(f"{U}?q=${{x}}"), {"request_url": f"{U}?q=$%7Bx}}"}),
    (
        "JSON is json",
        post('{"a": [1, "ü", null]}', "application/json"),
        {"json": {"a": [1, "ü", None]}, "headers": {"Content-Type": "application/json"}},
    ),
    ("JSON of a vendor is json", post('{"a":1}', "application/vnd.api+json; charset=utf-8"), {"json": {"a": 1}}),
    ("broken JSON is text", post('{"a":', "application/json"), {"data": '{"a":', "json": GONE}),
    ("JSON null is text, because null is not a key", post("null", "application/json"), {"data": "null"}),
    ("JSON with a name twice is text", post('{"a":1,"a":2}', "application/json"), {"data": '{"a":1,"a":2}'}),
    ("JSON with a number no float holds is text", post('{"a":0.12345678901234567890}', "application/json"), {"json": GONE}),
    ("JSON nested too deeply for a script is text", post("[" * 60 + "]" * 60, "application/json"), {"json": GONE}),
    ("JSON with a placeholder in a name is text", post('{"${a}":1}', "application/json"), {"data": '{"${var.dollar_sign}{a}":1}'}),
    ("a form is an object", post("a=1&b=x+y%C3%A4", FORM), {"data": {"a": "1", "b": "x yä"}}),
    (
        "fields that were listed as they were sent are not encoded again",
        entry(U, "POST", size=28, post={"mimeType": FORM, "params": [{"name": "address", "value": "Street%20Address%201"}]}),
        {"data": "address=Street%20Address%201"},
    ),
    (
        "and are an object where that is sent alike",
        entry(U, "POST", size=14, post={"mimeType": FORM, "params": [{"name": "a", "value": "x+y%C3%A4"}, {"name": "b", "value": ""}]}),
        {"data": {"a": "x yä", "b": ""}},
    ),
    (
        "a listed percent sign that was sent as %25 stays one",
        entry(U, "POST", size=9, post={"mimeType": FORM, "params": [{"name": "a", "value": "10%25"}]}),
        {"data": {"a": "10%25"}},
    ),
    (
        "listed fields without a size are taken as they read",
        entry(U, "POST", post={"mimeType": FORM, "params": [{"name": "a", "value": "10% off"}]}),
        {"data": {"a": "10% off"}},
    ),
    (
        "a file that is listed as a data URL is its bytes",
        entry(
            U,
            "POST",
            post={
                "mimeType": "multipart/form-data",
                "params": [
                    {"name": "file", "fileName": "a.png", "contentType": "image/png", "value": "data:image/png;base64,iVBORw0KGgo="}
                ],
            },
        ),
        {"files": [{"field": "file", "filename": "a.png", "content_type": "image/png", "content_base64": "iVBORw0KGgo="}]},
    ),
    (
        "a data URL without Base64",
        entry(
            U,
            "POST",
            post={
                "mimeType": "multipart/form-data",
                "params": [{"name": "f", "fileName": "a.txt", "value": "data:text/plain;charset=utf-8,a%20b"}],
            },
        ),
        {"files": [{"field": "f", "filename": "a.txt", "content": "a b"}]},
    ),
    (
        "a text file that holds a data URL of something else stays text",
        entry(
            U,
            "POST",
            post={
                "mimeType": "multipart/form-data",
                "params": [{"name": "f", "fileName": "a.css", "contentType": "text/css", "value": "data:image/png;base64,iVBORw0KGgo="}],
            },
        ),
        {"files": [{"field": "f", "filename": "a.css", "content_type": "text/css", "content": "data:image/png;base64,iVBORw0KGgo="}]},
    ),
    (
        "a field that holds a data URL stays text",
        entry(
            U,
            "POST",
            post={
                "mimeType": "multipart/form-data",
                "params": [{"name": "f", "value": "data:text/plain,a"}, {"name": "g", "fileName": "x", "value": "y"}],
            },
        ),
        {"data": {"f": "data:text/plain,a"}},
    ),
    ("a field that is there twice makes pairs", post("a=1&b=&a=2", FORM), {"data": [["a", "1"], ["b", ""], ["a", "2"]]}),
    ("a form that is none is text", post("just text", FORM), {"data": "just text"}),
    ("a form in another charset is text", post("a=%E4", FORM), {"data": "a=%E4"}),
    (
        "params alone are a form",
        entry(U, "POST", post={"mimeType": FORM, "params": [{"name": "a", "value": "x y"}, {"name": "a"}]}),
        {"data": [["a", "x y"], ["a", ""]]},
    ),
    ("text is data", post("Größe 5 €", "text/plain"), {"data": "Größe 5 €", "headers": TYPE}),
    ("an empty body is none", post("", "text/plain"), {"data": GONE, "headers": GONE}),
    ("a body without a type has none", post("x", ""), {"data": "x", "headers": GONE}),
    ("a placeholder in a body is text", post("a ${x} b", "text/plain"), {"data": "a ${var.dollar_sign}{x} b"}),
    ("GET may have a body", entry(U, body="x", mime="text/plain"), {"method": "get", "data": "x"}),
    (
        "bytes as Base64",
        entry(U, "PUT", post={"mimeType": "image/png", "text": "iVBORwD/", "encoding": "base64"}),
        {"data_base64": "iVBORwD/", "headers": {"Content-Type": "image/png"}},
    ),
    ("bytes as half surrogates", post("\udc89PNG", "image/png"), {"data_base64": base64.b64encode(b"\x89PNG").decode()}),
    (
        "bytes as one character each, as the length tells",
        post("\x89PNG", "image/png", headers={"Content-Length": "4"}),
        {"data_base64": base64.b64encode(b"\x89PNG").decode()},
    ),
    (
        "a multipart form with a file",
        post(parts(field("a", "1"), field("a", "2"), field("f", "hi\r\nho", '; filename="a.txt"\r\nContent-Type: text/x')), MULTI),
        {
            "data": [["a", "1"], ["a", "2"]],
            "files": [{"field": "f", "filename": "a.txt", "content_type": "text/x", "content": "hi\r\nho"}],
            "headers": GONE,
        },
    ),
    (
        "a file of bytes",
        post(parts(field("f", "\udc89\udcff", '; filename="a.bin"')), MULTI),
        {"files": [{"field": "f", "filename": "a.bin", "content_base64": "if8="}]},
    ),
    ("a multipart form without files stays one", post(parts(field("a", "1")), MULTI), {"data": {"a": "1"}, "files": []}),
    (
        "a file input that was left empty is sent as it was, with its boundary",
        post(parts(field("f", "", '; filename=""')), MULTI),
        {"files": GONE, "data": parts(field("f", "", '; filename=""')), "headers": {"Content-Type": MULTI}},
    ),
    (
        "files that an exporter lists",
        entry(
            U,
            "POST",
            post={
                "mimeType": MULTI,
                "params": [{"name": "f", "fileName": "a.txt", "contentType": "text/x", "value": "hi"}, {"name": "a", "value": "1"}],
            },
        ),
        {"data": {"a": "1"}, "files": [{"field": "f", "filename": "a.txt", "content_type": "text/x", "content": "hi"}]},
    ),
    ("the status is asserted", entry(U, status=404), {"assertions": [{"type": "status_code", "value": 404}]}),
    ("a new user has no cache, so 304 may be 200", entry(U, status=304), {"assertions": [{"type": "status_code", "value": [200, 304]}]}),
    ("what was never answered has no status", entry(U, status=0), {"assertions": GONE}),
    ("a redirect into the unknown is not followed", entry(U, status=302, answer_headers={"Location": "/b"}), {"allow_redirects": False}),
    (
        "a user in the URL is basic auth, the password lifted",
        entry("http://ann:pw-1234@shop.example/a"),
        {"request_url": U, "auth": {"type": "basic", "username": "ann", "password": "${env.RECORDED_PASSWORD}"}},
    ),
]


@pytest.mark.parametrize(("sentence", "recorded", "said"), STEPS, ids=[row[0] for row in STEPS])
def test_an_entry_becomes_a_step(sentence: str, recorded: dict[str, Any], said: dict[str, Any]) -> None:
    task = step(recorded)
    assert {key: task.get(key, GONE) for key in said} == said


LEFT_OUT: list[tuple[dict[str, Any], str]] = [
    (entry("wss://shop.example/live"), "is a websocket"),
    (entry(U, _webSocketMessages=[]), "is a websocket"),
    (entry(U, headers={"Upgrade": "websocket"}, status=101), "is a websocket"),
    (entry("data:text/plain,hi"), "data: is nothing that is asked over HTTP"),
    (entry("blob:https://shop.example/1"), "blob: is nothing that is asked over HTTP"),
    (entry("about:blank"), "about: is nothing that is asked over HTTP"),
    (entry("/relative"), "its URL is relative"),
    (entry("http://"), "its URL can't be asked"),
    (entry("http://shop.example:99999/"), "its URL can't be asked"),
    (entry("shop.example:443", "CONNECT"), "CONNECT opens a tunnel; the requests inside are entries of their own"),
    (entry(U, "G T"), "its method is none"),
    (entry(U, _fromCache="memory"), "was answered by the browser's cache; nothing was sent"),
    (
        entry(U, status=307, answer_headers={"Non-Authoritative-Reason": "HSTS"}),
        "was answered by the browser itself (HSTS); nothing was sent",
    ),
    (entry(U, status=0, _error="net::ERR_BLOCKED_BY_CLIENT"), "was never sent (net::ERR_BLOCKED_BY_CLIENT)"),
    ({"request": {"url": U}}, "has no method or no URL"),
    ("no entry", "has no method or no URL"),  # type: ignore[list-item]
]


@pytest.mark.parametrize(("recorded", "reason"), LEFT_OUT, ids=[reason for _, reason in LEFT_OUT])
def test_what_can_not_be_played_is_listed_with_its_reason(recorded: Any, reason: str) -> None:
    done = converted(entry(U), recorded)
    assert [task["request_url"] for task in done.tasks] == [U]
    assert [(one.entry, one.reason) for one in done.report.left_out] == [(1, reason)]


def test_a_request_that_was_left_while_it_ran_is_played() -> None:
    assert step(entry(U, status=0, _error="net::ERR_ABORTED"))["request_url"] == U


FILTERS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("all without a filter", {}, ["a.js", "b", "c?x=1"]),
    ("include keeps what it is found in", {"include": ["b$", "x="]}, ["b", "c?x=1"]),
    ("exclude comes after include", {"include": ["shop"], "exclude": [r"\.js"]}, ["b", "c?x=1"]),
    ("an empty list is not a filter", {"include": [], "exclude": []}, ["a.js", "b", "c?x=1"]),
]


@pytest.mark.parametrize(("sentence", "filters", "kept"), FILTERS, ids=[row[0] for row in FILTERS])
def test_urls_are_filtered_whole(sentence: str, filters: dict[str, Any], kept: list[str]) -> None:
    done = converted(*(entry(f"http://shop.example/{path}") for path in ("a.js", "b", "c?x=1")), **filters)
    assert [task["request_url"].removeprefix("http://shop.example/") for task in done.tasks] == kept
    assert done.report.excluded == 3 - len(kept)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"include": ["("]}, r"include\[0\]: '\(' is not a pattern that RE2 takes: "),
    ({"exclude": ["a", "["]}, r"exclude\[1\]: '\[' is not a pattern that RE2 takes: "),
    ({"think_time": "recrded"}, r'think_time: \'recrded\' is not a think time; write "recorded"'),
    ({"think_time": {"scal": 1}}, r"think_time.scal: is not a key of a think time; did you mean 'scale'\?"),
    ({"think_time": {"spread": 2}}, "think_time.spread: must be a number from 0 on to 1"),
    ({"secrets": "leave"}, "secrets: 'leave' is not a choice"),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=str)
def test_a_wrong_option_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        converted(entry(U), **options)


def test_a_second_host_is_in_the_name() -> None:
    done = converted(entry(U), entry(f"{U}/b"), entry("https://cdn.example/app.js"))
    assert [task["name"] for task in done.tasks] == ["GET /a", "GET /a/b", "GET cdn.example/app.js"]


def test_many_short_numbers_at_one_place_are_one_name() -> None:
    assert {task["name"] for task in converted(*(entry(f"{U}/{number}") for number in range(9))).tasks} == {"GET /a/{id}"}


def test_steps_are_in_the_order_in_which_they_began() -> None:
    late, early = "2024-05-06T09:00:02Z", "2024-05-06T11:00:01.5+02:00"
    done = converted(entry(f"{U}/2", startedDateTime=late), entry(f"{U}/1", startedDateTime=early))
    assert [task["request_url"] for task in done.tasks] == [f"{U}/1", f"{U}/2"]


def test_an_entry_without_a_date_keeps_its_place_and_costs_nobody_else_anything() -> None:
    """The others are still sorted, correlated and paused."""
    at = "2024-05-06T09:00:0{}Z".format
    value = "5b8aa5b2d2c872e8321cf373"
    done = converted(
        entry(f"{U}/3?x={value}", startedDateTime=at(9)),
        entry(f"{U}/4"),
        entry(f"{U}/1", startedDateTime=at(1), answer=f'{{"x": "{value}"}}'),
        entry(f"{U}/2", startedDateTime="yesterday"),
        think_time={"scale": 1, "spread": 0},
    )
    urls = [f"{U}/1", f"{U}/4", f"{U}/3?x=${{var.x}}", f"{U}/2"]
    assert [task["request_url"] for task in done.tasks] == urls
    assert [task.get("think_time") for task in done.tasks] == [None, {"min": 7.99, "max": 7.99}, None, None]
    assert done.tasks[0]["extract"] == [{"var": "x", "from": "json_path", "path": "x"}]


def test_what_has_no_date_at_the_start_stays_first() -> None:
    late, early = "2024-05-06T09:00:02Z", "2024-05-06T09:00:01Z"
    done = converted(entry(f"{U}/0"), entry(f"{U}/2", startedDateTime=late), entry(f"{U}/1", startedDateTime=early))
    assert [task["request_url"] for task in done.tasks] == [f"{U}/0", f"{U}/1", f"{U}/2"]
