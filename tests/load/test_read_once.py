"""Parts of a step that are read once, before the load: their placeholders are filled in, and none that changes is taken as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.session.checking import Checking
from loadflow.engine.session.session import Session
from loadflow.errors import ScriptError
from tests.load.harness import ENGINES, get, load
from tests.targets.fixture import Target

PROTO = """syntax = "proto3"; package shop; message A {} service Shop { rpc Get(A) returns (A); }"""
GRPC = {"target": "127.0.0.1:1", "proto": "shop.proto", "payload": {}}
MQTT = {"broker": "127.0.0.1:1", "method": "publish", "topic": "a", "payload": '{"id": 1}'}
TCP = {"protocol": "tcp", "target": "127.0.0.1:1", "payload": "x"}
JSON = {"type": "json_path", "value": 1}
# user, step, the place of the part in which {} is a placeholder
ONCE: list[tuple[str, dict[str, Any], str]] = [
    ("fast_http_user", get("/", stream={"until": "{}"}), "stream"),
    ("fast_http_user", get("/", stream={"until": "x", "tokens": "a.{}"}), "stream"),
    ("fast_http_user", get("/", assertions=[{**JSON, "path": "a"}, {**JSON, "path": "a.{}"}]), "assertions[1].path"),
    ("fast_http_user", get("/", assertions=[{"type": "header", "name": "X-{}", "value": "1"}]), "assertions[0].name"),
    ("fast_http_user", get("/", extract=[{"var": "v", "path": "{}.b"}]), "extract[0].path"),
    ("fast_http_user", get("/", extract=[{"var": "v", "from": "header", "name": "{}"}]), "extract[0].name"),
    ("grpc_user", {**GRPC, "method": "shop.Shop/{}"}, "method"),
    ("grpc_user", {**GRPC, "method": "Get", "service": "shop.{}"}, "service"),
    ("mqtt_user", {**MQTT, "delivery": {"path": "{}"}}, "delivery"),
    ("socket_user", {**TCP, "framing": {"delimiter": "{}"}}, "framing"),
]
KIND = "application/json"  # of what the target echoes
CHANGING = ["${csv.rows.a}", "${uuid()}", "${randint(1, 9)}", "${var.w}", "${session.s}"]


def with_placeholder(value: Any, text: str) -> Any:
    if isinstance(value, dict):
        return {key: with_placeholder(one, text) for key, one in value.items()}
    if isinstance(value, list):
        return [with_placeholder(one, text) for one in value]
    return value.replace("{}", text) if isinstance(value, str) and value != "{}" else text if value == "{}" else value


@pytest.mark.parametrize("placeholder", CHANGING)
@pytest.mark.parametrize(("user", "step", "place"), ONCE, ids=[f"{user} {place}" for user, _, place in ONCE])
def test_what_changes_is_refused_where_it_would_be_taken_as_text(
    user: str, step: dict[str, Any], place: str, placeholder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("shop.proto").write_text(PROTO)
    Path("rows.csv").write_text("a\n1\n")
    login = {"user": "fast_http_user", "method": "get", "request_url": "http://127.0.0.1:1/"}
    before = {**login, "extract": [{"var": "w", "path": "w"}, {"var": "s", "path": "s", "scope": "session"}]}
    test = {
        "user_detail_dict": {"user": user}, "host": "http://127.0.0.1:1", "variables": {"w": "w"},
        "csv_sources": [{"name": "rows", "file_path": "rows.csv"}], "tasks": [before, with_placeholder(step, placeholder)],
    }  # fmt: skip
    if user != "fast_http_user":
        test["hosts"] = {"fast_http_user": test.pop("host")}
    with pytest.raises(ScriptError) as raised:
        Checking(Session()).script([["LD_start_test", test]])
    (mistake,) = raised.value.mistakes
    assert mistake.place.endswith(f"tasks[1].{place}")
    assert mistake.message == f"{placeholder} changes from hit to hit, and this is read once, before the load"


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_known_before_the_load_is_filled_in(engine: str, target: Target, tmp_path: Path) -> None:
    steps = [
        get(
            "/echo?a=1",
            name="echo",
            assertions=[
                {"type": "json_path", "path": "${var.key}", "value": "GET"},
                {"type": "header", "name": "${var.type}", "value": KIND},
            ],
            extract=[{"var": "m", "path": "${var.key}"}, {"var": "kind", "from": "header", "name": "Content-${var.number}ype"}],
        ),
        get("/ok?${m}", name="sent"),
    ]
    target.reset()
    variables = {"key": "method", "type": "Content-Type", "number": "T"}
    done = load(tmp_path, steps, engine=engine, host=target.url, variables=variables, iterations=1)
    assert [(hit.name, hit.error) for hit in done.hits] == [("echo", ""), ("sent", "")]
    assert [record.target for record in target.records()][-1] == "/ok?GET"
