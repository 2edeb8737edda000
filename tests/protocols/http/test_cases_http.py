"""Inputs that came out wrong, each with its right answer, for every HTTP user."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.load.build import build_plan
from loadflow.engine.plan.target import TargetRules
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.resolve.variables import Variables
from loadflow.errors import CommandError
from tests.load.harness import USERS, Outcomes, get, load, raw
from tests.targets.fixture import Target

OK = b"HTTP/1.1 200 OK\r\n"
JSON = b'{"items":[{"id":7}],"@odata.nextLink":"/next","big":18446744073709551617}'


def answer(fields: bytes = b"", body: bytes = b"hello") -> str:
    return raw(OK + fields + b"Content-Length: %d\r\n\r\n" % len(body) + body)


def ends(done: Outcomes) -> list[tuple[Outcome, str]]:
    return [(hit.outcome, hit.error) for hit in done.hits]


@pytest.mark.parametrize("user", USERS)
def test_each_case(user: str, target: Target, tmp_path: Path) -> None:
    target.reset()
    policy = {"type": "header", "name": "x-policy", "value": "default-src 'self'; img-src *"}
    looks = {"type": "contains", "value": "hello"}
    steps = [
        get(answer(b"X-Policy: default-src 'self';\r\n  img-src *\r\n"), name="a folded field", assertions=[policy]),
        get(raw(b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"), name="999", assertions=[{"type": "status_code", "value": [200, 999]}]),
        get(answer(b"Content-Encoding: utf-8\r\n"), name="no coding, not looked at"),
        get(answer(b"Content-Encoding: utf-8\r\n"), name="no coding, looked at", assertions=[looks]),
        get(answer(body=JSON), name="JSONPath", assertions=[{"type": "json_path", "path": "$.items[0].id", "value": 7}]),
        get(answer(body=JSON), name="dot", extract=[{"var": "next", "path": "$['@odata.nextLink']"}, {"var": "v", "path": "big"}]),
        get("/echo?next=${next}", name="and sent", headers={"X-Big": "${v}"}),
        get(answer(body=JSON), name="big", assertions=[{"type": "json_path", "path": "big", "value": 2**64 + 1}]),
        get(answer(body=JSON), name="not so big", assertions=[{"type": "json_path", "path": "big", "value": 2**64}]),
    ]
    done = load(tmp_path, steps, user=user, host=target.url)
    wrong = (Outcome.ASSERTION, "json_path big expected 18446744073709551616, got 18446744073709551617")
    assert ends(done) == [*[(Outcome.OK, "")] * 8, wrong]
    (sent,) = target.records("/echo")
    assert sent.target == "/echo?next=/next"
    assert sent.header("X-Big") == "18446744073709551617"


@pytest.mark.parametrize("user", USERS)
def test_a_request_that_asks_to_close_ends_its_connection(user: str, target: Target, tmp_path: Path) -> None:
    for words in ({"Connection": "close"}, {"connection": "${how}"}):
        target.reset()
        done = load(tmp_path / words.popitem()[0], [get("/ok", headers={"Connection": "close"})], user=user, host=target.url, iterations=3)
        assert ends(done) == [(Outcome.OK, "")] * 3
        assert len({record.connection for record in target.records("/ok")}) == 3


@pytest.mark.parametrize("user", USERS)
def test_a_failed_hit_has_sent_and_received_something(user: str, target: Target, tmp_path: Path) -> None:
    target.reset()
    part = OK + b"Content-Length: 9\r\n\r\nhi"
    steps = [
        get(raw(part, then="cut"), name="cut off"),
        get(raw(part), name="too late", timeout=0.3),
        get("/redirect-loop", name="loop"),
        get("/${nothing}", name="never made"),
        get("/ok", extract=[{"var": "nothing", "from": "status_code"}]),
    ]
    done = load(tmp_path, steps, user=user, host=target.url)
    sizes = {hit.name: (int(row["sent_bytes"]), int(row["received_bytes"])) for hit, row in zip(done.hits, done.rows, strict=True)}
    outcomes = {hit.name: hit.outcome for hit in done.hits if hit.name != "/ok"}
    kinds = (Outcome.CLOSED, Outcome.TIMEOUT, Outcome.REDIRECT, Outcome.TEMPLATE)
    assert outcomes == dict(zip(("cut off", "too late", "loop", "never made"), kinds, strict=True))
    assert sizes["cut off"][1] == sizes["too late"][1] == len(part)
    assert min(sizes["cut off"][0], sizes["too late"][0]) > 100
    loops = len(target.records("/redirect-loop"))
    assert loops == 31
    assert sizes["loop"][0] % loops == sizes["loop"][1] % loops == 0  # all of them are the same
    assert sizes["loop"][0] > loops * 100
    assert sizes["never made"] == (0, 0)


PATHS: list[tuple[str, str]] = [
    ("$..id", "searches at every depth"),
    ("$.items[*].id", "is neither an index nor a key in quotes"),
    ("$.items[?(@.id)]", "is neither an index nor a key in quotes"),
    ("items[0:2]", "is neither an index nor a key in quotes"),
    ("$.*", "stands for several values"),
    ("@odata.nextLink", r"write \['@odata.nextLink'\]"),
    ("a['b", "is neither an index nor a key in quotes"),
]


@pytest.mark.parametrize(("path", "text"), PATHS, ids=[row[0] for row in PATHS])
def test_what_is_no_path_is_a_mistake_before_the_load(path: str, text: str) -> None:
    given: dict[str, Any] = {
        "user_detail_dict": {"user": "fast_http_user"},
        "host": "http://x",
        "tasks": [get("/", extract=[{"var": "v", "path": path}])],
    }
    with pytest.raises(CommandError, match=text):
        build_plan(given, Variables(), {}, TargetRules(), lambda name: "")


@pytest.mark.parametrize("user", USERS)
def test_any_token_is_a_method(user: str, target: Target, tmp_path: Path) -> None:
    target.reset()
    steps = [
        {"method": "propfind", "request_url": "/echo?a", "headers": {"Depth": "1"}},
        {"method": "PURGE", "request_url": "/echo?${uuid()}"},
        {"method": "Query", "request_url": "/echo?c", "json": {"a": 1}},
        {"method": "M-SEARCH", "request_url": "/redirect-code/307?to=/echo%3Fd", "name": "307", "data": "x"},
        {"method": "X!", "request_url": "/redirect-code/303?to=/echo%3Fe", "name": "303", "data": "x"},
    ]
    done = load(tmp_path, steps, user=user, host=target.url)
    assert ends(done) == [(Outcome.OK, "")] * 5
    sent = [(record.method, record.header("Content-Length"), record.body) for record in target.records("/echo")]
    assert sent == [
        ("PROPFIND", None, b""),
        ("PURGE", None, b""),
        ("QUERY", "7", b'{"a":1}'),
        ("M-SEARCH", "1", b"x"),
        ("GET", None, b""),
    ]
