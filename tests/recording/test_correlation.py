# ruff: noqa: E501  # a row stays on one line
"""What a response returned and a later request sent: tied, not tied, or reported as out of reach."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loadflow.engine.base.pattern import compile_pattern
from tests.recording.hars import converted, entry

H = "http://shop.example"
ID = "5b8aa5b2d2c872e8321cf373"


def get(path: str, **more: Any) -> dict[str, Any]:
    return entry(f"{H}{path}", **more)


def answers(value: Any, path: str = "/first", **more: Any) -> dict[str, Any]:
    return get(path, answer=json.dumps(value), **more)


def page(text: str) -> dict[str, Any]:
    return get("/first", answer=f"<html>{text}</html>", answer_mime="text/html")


def script(text: str) -> dict[str, Any]:
    return get("/first", answer=text, answer_mime="text/javascript")


def sends(value: Any) -> dict[str, Any]:
    return entry(f"{H}/second", "POST", body=json.dumps(value), mime="application/json")


FRESH = "0c9d3a77b1e24f65"

TIED: list[tuple[str, list[dict[str, Any]], dict[str, str], Any]] = [
    (
        "a JSON leaf in a path",
        [answers({"items": [{"id": ID}]}), get(f"/x/{ID}")],
        {"var": "id", "from": "json_path", "path": "items.0.id"},
        {"request_url": f"{H}/x/${{var.id}}"},
    ),
    (
        "a JSON leaf in a query",
        [answers({"nextPage": ID}), get(f"/x?c={ID}&d=1")],
        {"var": "next_page", "from": "json_path", "path": "nextPage"},
        {"request_url": f"{H}/x?c=${{var.next_page}}&d=1"},
    ),
    (
        "a value that has to be encoded goes through params",
        [answers({"cursor": "a1+B2/c3D4=="}), get("/x?c=a1%2BB2%2Fc3D4%3D%3D&d=x+y")],
        {"var": "cursor", "from": "json_path", "path": "cursor"},
        {"request_url": f"{H}/x", "params": [["c", "${var.cursor}"], ["d", "x y"]]},
    ),
    (
        "a header in a header",
        [get("/first", answer_headers={"X-Request-Key": ID}), get("/x", headers={"X-Key": ID})],
        {"var": "x_request_key", "from": "header", "name": "X-Request-Key"},
        {"headers": {"X-Key": "${var.x_request_key}"}},
    ),
    (
        "an entity tag",
        [get("/first", answer_headers={"ETag": f'W/"{ID}"'}), get("/x", headers={"If-None-Match": f'W/"{ID}"'})],
        {"var": "etag", "from": "header", "name": "ETag"},
        {"headers": {"If-None-Match": "${var.etag}"}},
    ),
    (
        "a token behind its scheme",
        [answers({"token": "t-1"}), get("/x", headers={"Authorization": "Bearer t-1"})],
        {"var": "token", "from": "json_path", "path": "token"},
        {"headers": {"Authorization": "Bearer ${var.token}"}},
    ),
    (
        "a number stays a number",
        [answers({"orderId": 48211903}), sends({"order": 48211903})],
        {"var": "order_id", "from": "json_path", "path": "orderId"},
        {"json": {"order": "${var.order_id}"}},
    ),
    (
        "a short number under names of ids",
        [answers({"id": 4711}), sends({"userId": 4711})],
        {"var": "id", "from": "json_path", "path": "id"},
        {"json": {"userId": "${var.id}"}},
    ),
    (
        "a form field",
        [answers({"a": ID}), entry(f"{H}/x", "POST", body=f"f={ID}&g=1", mime="application/x-www-form-urlencoded")],
        {"var": "a", "from": "json_path", "path": "a"},
        {"data": {"f": "${var.a}", "g": "1"}},
    ),
    (
        "a value inside a text",
        [answers({"a": ID}), entry(f"{H}/x", "POST", body=f"<o><id>{ID}</id></o>", mime="text/xml")],
        {"var": "a", "from": "json_path", "path": "a"},
        {"data": "<o><id>${var.a}</id></o>"},
    ),
    (
        "a whole body",
        [answers(ID), get(f"/x/{ID}")],
        {"var": "value", "from": "json_path", "path": "."},
        {"request_url": f"{H}/x/${{var.value}}"},
    ),
    (
        "a Location without a host",
        [get("/first", status=201, answer_headers={"Location": f"/x/{ID}"}), get(f"/x/{ID}")],
        {"var": "location", "from": "header", "name": "Location"},
        {"request_url": f"{H}${{var.location}}"},
    ),
    (
        "a whole URL in JSON",
        [answers({"next": f"{H}/x/{ID}"}), get(f"/x/{ID}")],
        {"var": "next", "from": "json_path", "path": "next"},
        {"request_url": "${var.next}"},
    ),
    (
        "a cookie that a script set",
        [answers({"session": {"token": ID}}), get("/x", headers={"Cookie": f"auth={ID}"})],
        {"var": "token", "from": "json_path", "path": "session.token"},
        {"cookies": {"auth": "${var.token}"}},
    ),
    (
        "a cookie in a header",
        [get("/first", answer_headers={"Set-Cookie": f"xsrf={ID}; Path=/"}), get("/x", headers={"X-Xsrf": ID})],
        {"var": "xsrf", "from": "cookie", "name": "xsrf"},
        {"headers": {"X-Xsrf": "${var.xsrf}"}},
    ),
]


@pytest.mark.parametrize(("sentence", "entries", "extract", "said"), TIED, ids=[row[0] for row in TIED])
def test_is_tied(sentence: str, entries: list[dict[str, Any]], extract: dict[str, str], said: dict[str, Any]) -> None:
    done = converted(*entries)
    assert done.tasks[0]["extract"] == [extract]
    assert {key: done.tasks[1].get(key) for key in said} == said
    assert [one.variable for one in done.report.correlated] == [extract["var"]]
    assert done.report.lifted == []


# what a response had, what it has in the next run with another value, and how it is said
PARTS: list[tuple[str, dict[str, Any], str]] = [
    ("a script", script("var key = '@'"), "key: from GET /first: key in the body's text"),
    ("a script of a page", page("<script>window.cfg = {csrfToken: \"@\"}</script>"), "csrf_token: from GET /first: csrfToken in the body's text"),
    ("JSON in a script", page('<script>init({"a":"no","nonce" : "@"})</script>'), "nonce: from GET /first: nonce in the body's text"),
    ("an argument", script("login('@', 1)"), "login: from GET /first: login in the body's text"),
    ("JSON in an attribute", page('<div data-a="{&quot;id1&quot;:&quot;@&quot;}">'), "id1: from GET /first: id1 in the body's text"),
    ("JSON in a JSON text", answers({"a": json.dumps({"b": "@"})}), "b: from GET /first: b in the body's text"),
    ("a parameter in a JSON text", answers({"url": "/a?y=1&x=@"}), "x: from GET /first: x in the body's text"),
    ("a key with a dot", answers({"a.b": "@"}), "a_b: from GET /first: a.b in the body's text"),
    ("a parameter of Location", get("/first", status=302, answer_headers={"Location": "https://b/?s=1&code=@&t=2"}),
     "code: from GET /first: code in header Location"),
    ("a part of Location's path", get("/first", status=201, answer_headers={"Location": "/x/@/y"}), "f: from GET /first: part of header Location"),
    ("a parameter of Link", get("/first", answer_headers={"Link": '<https://b/?cursor=@>; rel="next"'}), "cursor: from GET /first: cursor in header Link"),
    ("a parameter of a link behind another id", page('<a href="/s/a1B2c3D4e5?a=1&amp;key=@&amp;b">'), "key: from GET /first: HTML link key"),
]  # fmt: skip


@pytest.mark.parametrize(("sentence", "shape", "said"), PARTS, ids=[row[0] for row in PARTS])
def test_a_part_of_a_text_is_taken_by_a_pattern_that_finds_the_next_one(sentence: str, shape: dict[str, Any], said: str) -> None:
    def with_value(value: str) -> dict[str, Any]:
        made: dict[str, Any] = json.loads(json.dumps(shape).replace("@", value))
        return made

    done = converted(with_value(ID), entry(f"{H}/x", "POST", body=f"f={ID}", mime="application/x-www-form-urlencoded"))
    assert ID not in json.dumps(done.tasks)
    [extract] = done.tasks[0]["extract"]
    answer = with_value(FRESH)["response"]
    text = answer["headers"][0]["value"] if extract["from"] == "header" else answer["content"]["text"]
    assert compile_pattern(extract["pattern"]).find(text, 1) == FRESH
    assert [str(one) for one in done.report.correlated] == [f"{said}, to POST /x: form f"]


# a page, and the page of the next run: what its pattern takes there
PAGES: list[tuple[str, str, str]] = [
    ("a hidden input", '<input type="hidden" name="csrf" value="@">', "csrf: from GET /first: HTML field csrf"),
    ("the value before the name", "<INPUT value='@' name=csrf>", "csrf: from GET /first: HTML field csrf"),
    ("no quotes", "<input name=csrf value=@>", "csrf: from GET /first: HTML field csrf"),
    ("a meta tag", '<meta name="csrf-token" content="@" />', "csrf_token: from GET /first: HTML field csrf-token"),
    ("after another field", '<input name="csrf2" value="no"><input name="csrf" value="@">', "csrf: from GET /first: HTML field csrf"),
    ("a part of a link", '<a href="/x">x</a><a class="b" href="/orders/@/edit">', "x: from GET /first: HTML link"),
    ("a parameter of a link", "<form action='/go?a=1&amp;key=@&amp;b=2'>", "key: from GET /first: HTML link key"),
]


@pytest.mark.parametrize(("sentence", "shape", "said"), PAGES, ids=[row[0] for row in PAGES])
def test_a_value_in_html_is_taken_by_a_pattern_that_finds_the_next_one(sentence: str, shape: str, said: str) -> None:
    done = converted(page(shape.replace("@", ID)), get(f"/z?x={ID}"))
    [extract] = done.tasks[0]["extract"]
    assert ID not in json.dumps(done.tasks)
    assert compile_pattern(extract["pattern"]).find(f"<p>{shape.replace('@', FRESH)}", 1) == FRESH
    assert [str(one) for one in done.report.correlated] == [f"{said}, to GET /z: query x"]


NOT_TIED: list[tuple[str, list[dict[str, Any]]]] = [
    ("a word", [answers({"a": "checkout"}), get("/x/checkout")]),
    ("a short number without a name", [answers({"total": 4711}), sends({"amount": 4711})]),
    ("a number where text was returned", [answers({"a": "48211903"}), sends({"a": 48211903})]),
    ("what was sent before it came back", [get(f"/x/{ID}"), answers({"a": ID}), get(f"/x/{ID}")]),
    ("what the request itself had sent", [answers({"a": ID}, f"/x/{ID}"), get(f"/y/{ID}")]),
    ("what came back only later", [get(f"/x/{ID}"), answers({"a": ID})]),
    ("a password that is also somebody's role", [answers({"role": "admin"}), sends({"password": "admin"})]),
    ("the name of a static file", [answers({"js": "app.8f14e45fceea.js"}), get("/app.8f14e45fceea.js")]),
]


@pytest.mark.parametrize(("sentence", "entries"), NOT_TIED, ids=[row[0] for row in NOT_TIED])
def test_is_not_tied(sentence: str, entries: list[dict[str, Any]]) -> None:
    done = converted(*entries)
    assert [task for task in done.tasks if "extract" in task] == []
    assert done.report.correlated == []


LOOSE: list[tuple[str, dict[str, Any], str]] = [
    ("a field without a name", page(f'<input value="{ID}">'), "HTML field "),
    ("the second field of one name", page(f'<input name="a" value="x"><input name="a" value="{ID}">'), "HTML field a"),
    ("a link behind another id", page(f'<a href="/s/a1B2c3D4e5/{ID}">'), "HTML link"),
    ("a text without a name before it", get("/first", answer=f"{ID} is it", answer_mime="text/plain"), "text of the body"),
    ("a script with another value under the name", script(f"key = 'x'; key = '{ID}'"), "text of the body"),
    ("an encoded part of Location", get("/first", status=201, answer_headers={"Location": "/x/a%2FB2c3D4e5/y"}), "part of header Location"),
]


@pytest.mark.parametrize(("sentence", "first", "source"), LOOSE, ids=[row[0] for row in LOOSE])
def test_what_no_step_can_extract_is_reported(sentence: str, first: dict[str, Any], source: str) -> None:
    sent = "a/B2c3D4e5" if "encoded" in sentence else ID
    done = converted(first, sends({"x": sent}))
    assert [str(one) for one in done.report.not_correlated] == [
        f"POST /second: JSON x: found in GET /first: {source}, where a step can't extract it"
    ]
    assert done.tasks[1]["json"] == {"x": sent}


def test_what_nobody_returned_is_reported_without_its_value() -> None:
    done = converted(get(f"/x?q={ID}"))
    assert [str(one) for one in done.report.not_correlated] == ["GET /x: query q: no response before returned it"]


def test_a_part_of_a_path_that_is_tied_is_an_id_in_the_name() -> None:
    done = converted(answers({"id": 4711}), get("/users/4711/orders"))
    assert (done.tasks[1]["request_url"], done.tasks[1]["name"]) == (f"{H}/users/${{var.id}}/orders", "GET /users/{id}/orders")


def test_variables_of_one_name_are_numbered() -> None:
    done = converted(answers({"id": ID}), answers({"id": ID[::-1]}, "/other"), get(f"/x/{ID}/{ID[::-1]}"))
    assert done.tasks[2]["request_url"] == f"{H}/x/${{var.id}}/${{var.id_2}}"


def test_a_redirect_and_its_target_are_one_step() -> None:
    done = converted(
        entry(f"{H}/form", "POST", status=303, answer_headers={"Location": f"/done/{ID}"}, body="a=1", mime="text/plain"),
        get(f"/done/{ID}", answer='{"receipt": "R-88123456-x"}'),
        get("/x?r=R-88123456-x"),
    )
    assert [task["name"] for task in done.tasks] == ["POST /form", "GET /x"]
    assert done.tasks[0]["assertions"] == [{"type": "status_code", "value": 200}]
    assert "allow_redirects" not in done.tasks[0]
    assert done.tasks[1]["request_url"] == f"{H}/x?r=${{var.receipt}}"
    assert done.report.followed == 1


def test_a_redirect_whose_own_answer_is_needed_later_stands_alone() -> None:
    done = converted(
        get("/a", status=302, answer_headers={"Location": f"/b/{ID}", "X-Ticket": f"T{ID}"}),
        get(f"/b/{ID}"),
        get("/c", headers={"X-T": f"T{ID}"}),
    )
    first, second, third = done.tasks
    assert (first["allow_redirects"], first["assertions"][0]["value"]) == (False, 302)
    assert second["request_url"] == f"{H}${{var.location}}"
    assert third["headers"] == {"X-T": "${var.x_ticket}"}


NOT_A_CHAIN: list[tuple[str, list[dict[str, Any]]]] = [
    ("the target was never asked", [get("/a", status=302, answer_headers={"Location": "/b"}), get("/c")]),
    ("the target was asked by another method", [get("/a", status=302, answer_headers={"Location": "/b"}), entry(f"{H}/b", "POST")]),
    (
        "the target was asked much later",
        [
            get("/a", status=302, answer_headers={"Location": "/b"}, startedDateTime="2024-05-06T09:00:00Z"),
            get("/b", startedDateTime="2024-05-06T09:01:00Z"),
        ],
    ),
]


@pytest.mark.parametrize(("sentence", "entries"), NOT_A_CHAIN, ids=[row[0] for row in NOT_A_CHAIN])
def test_every_request_is_sent_exactly_once(sentence: str, entries: list[dict[str, Any]]) -> None:
    tasks = converted(*entries).tasks
    assert len(tasks) == 2
    assert tasks[0]["allow_redirects"] is False


def test_the_code_of_a_redirect_is_taken_from_its_location() -> None:
    """OAuth: the redirect is asked alone, because what it returned is needed later; the target's URL comes from it too."""
    back = f"{H}/cb?code={ID}&state=st4te-8f7e6d5c4b3a2910"
    done = converted(
        get("/authorize?state=st4te-8f7e6d5c4b3a2910", status=302, answer_headers={"Location": back}),
        entry(back),
        entry(f"{H}/token", "POST", body=f"grant_type=authorization_code&code={ID}", mime="application/x-www-form-urlencoded"),
    )
    authorize, callback, token = done.tasks
    assert authorize["allow_redirects"] is False
    assert {"var": "code", "from": "header", "name": "Location", "pattern": "[?&;#]code=([^&;#<>]+)"} in authorize["extract"]
    assert callback["request_url"] == "${var.location}"
    assert token["data"] == {"grant_type": "authorization_code", "code": "${var.code}"}
    assert ID not in json.dumps(done.tasks)
