"""The default names of HTTP steps: a table, pure."""

from __future__ import annotations

from typing import Any

import pytest

from loadflow.engine.load.build import build_plan
from loadflow.engine.plan.target import TargetRules
from loadflow.engine.protocols.http.name import default_name
from loadflow.engine.resolve.template import Compiled, compile_value
from loadflow.engine.resolve.variables import Variables
from tests.load.harness import get, load
from tests.targets.fixture import Target

VARIABLES = {"base": "http://127.0.0.1:9", "page": "http://127.0.0.1:9/shop/", "v": 7}

NAMES: list[tuple[str, dict[str, Any], str]] = [
    ("the path", {"request_url": "/items"}, "/items"),
    ("the query is a part of it", {"request_url": "/api?action=list"}, "/api?action=list"),
    ("params are a part of the query", {"request_url": "/api?a=1", "params": {"b": [2, None, "x"], "c": True}}, "/api?a=1&b=2&b=x&c=true"),
    ("params as pairs", {"request_url": "/api", "params": [["a", 1], ["a", 2]]}, "/api?a=1&a=2"),
    ("a placeholder stays as it is written", {"request_url": "/v/${var.v}?n=${randint(1,6)}"}, "/v/${var.v}?n=${randint(1,6)}"),
    ("the host of the plan is left out", {"request_url": "http://127.0.0.1:9/a"}, "/a"),
    ("also where a variable holds it", {"request_url": "${var.base}/a/${v}"}, "/a/${v}"),
    ("a variable that holds more than the host", {"request_url": "${var.page}${var.v}"}, "/shop/${var.v}"),
    ("another host is named, without user and password", {"request_url": "http://ann:pw@127.0.0.1:8/a"}, "127.0.0.1:8/a"),
    ("no path", {"request_url": "http://127.0.0.1:9?x=1#top"}, "/?x=1"),
    ("secrets masked", {"request_url": "/a?token=abc&b=1", "params": {"api_key": 1, "pin": 1}}, "/a?token=***&b=1&api_key=***&pin=***"),
    ("params that a placeholder stands for", {"request_url": "/a", "params": "${var.v}"}, "/a"),
]  # fmt: skip


@pytest.mark.parametrize(("sentence", "step", "name"), NAMES, ids=[row[0] for row in NAMES])
def test_a_step_without_a_name_is_called(sentence: str, step: dict[str, Any], name: str) -> None:
    arguments = {"user_detail_dict": {}, "host": VARIABLES["base"], "tasks": [get("/")], "redact": ["pin"]}
    plan = build_plan(arguments, Variables(), {}, TargetRules(), lambda _: "").plan

    def compiler(value: Any) -> Compiled:
        return compile_value(value, VARIABLES)

    assert default_name(step, plan, compiler) == name


@pytest.mark.parametrize("engine", ["fast_http_user", "http_user", "native"])
def test_requests_that_differ_in_their_query_are_told_apart(engine: str, target: Target, tmp_path: Any) -> None:
    asked = ["/ok?action=list", "/delay/1?action=buy", "/ok?action=buy", "/ok?action=list", "/echo/${var.v}"]
    done = load(tmp_path, [get(f"{target.url}{path}") for path in asked], user=engine, user_count=1, iterations=3, variables={"v": 7})
    assert done.counts() == {"/ok?action=list": 6, "/delay/1?action=buy": 3, "/ok?action=buy": 3, "/echo/${var.v}": 3}
