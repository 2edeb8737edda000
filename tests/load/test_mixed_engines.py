"""The same script of several protocols on both engines: what the peers receive, and every row of it, is the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.load.harness import ENGINES, Outcomes, Step, get, load, on, post
from tests.load.test_mixed import TCP, WS, Talk, talk
from tests.targets.fixture import Target

__all__ = ["talk"]  # a fixture

UDP = {**TCP, "protocol": "udp"}
NUMBERED = re.compile(r"(?<=\b[st]-)\d+")  # in tokens and cookies of `/login`
TOKEN = [{"var": "token", "path": "$.token", "scope": "session"}]
LOG_IN = post("/login", name="log in", json={"user": "ann"}, extract=TOKEN)
SEND = {**WS, "method": "sendrecv"}
LINE = {**TCP, "expect_substring": "\n"}
OF_EACH: list[Step] = [
    {**SEND, "payload": "${session.token}", "name": "talk", "extract": [{"var": "said", "from": "body"}]},
    {**LINE, "payload": "${var.said}\n", "name": "line", "extract": [{"var": "line", "from": "body"}]},
    get("/whoami?${var.line}", name="who"),
]

# what is shown by it: steps, and other keys of the test
SCRIPTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "values and cookies go from one to the next": (OF_EACH, {"on_start": [LOG_IN], "iterations": 3}),
    "several users, each with his own": (OF_EACH, {"on_start": [LOG_IN], "iterations": 2, "user_count": 4}),
    "hooks of other protocols than the steps": (
        [get("/ok", name="web")],
        {
            "on_start": [{**SEND, "payload": "in", "name": "come"}],
            "on_stop": [{**LINE, "payload": "out\n", "name": "go"}, get("/ok?bye", name="bye"), {**WS, "method": "close", "name": "close"}],
            "iterations": 2,
        },
    ),
    "what fails in one ends no other, unless it is to": (
        [
            {**SEND, "payload": "${var.no}", "name": "lacks"},
            {**SEND, "payload": "a", "expect": "b", "name": "unexpected"},
            {**LINE, "payload": "x\n", "name": "asserts", "assertions": [{"type": "contains", "value": "y"}]},
            get("/status/404", name="lost", extract=[{"var": "no", "path": "$.no"}]),
            {**LINE, "payload": "z\n", "name": "odd", "extract": [{"var": "no", "path": "$.no"}]},
            {**SEND, "payload": "s", "name": "stops", "assertions": [{"type": "contains", "value": "y"}], "on_failure": "stop"},
            get("/ok", name="never"),
        ],
        {},
    ),
    "one who can't be set up by another protocol makes no step": (
        [get("/ok", name="never")],
        {"on_start": [{**SEND, "payload": "a", "expect": "b", "name": "come"}], "user_count": 2},
    ),
    "times out in one, and goes on in the other": (
        [
            {**WS, "method": "recv", "timeout": 0.05, "name": "unheard"},
            get("/delay/60000", name="slow", timeout=0.05),
            {**TCP, "payload": "x", "expect_substring": "y", "timeout": 0.05, "name": "mute"},
            {**SEND, "payload": "after", "name": "after"},
            get("/ok", name="web"),
        ],
        {"iterations": 2},
    ),
    "retries": (
        [
            get("/ok", name="web"),
            {
                **LINE,
                "payload": "r\n",
                "name": "again",
                "assertions": [{"type": "contains", "value": "y"}],
                "retry": {"permanent": 2, "base_delay": 0.001, "jitter": 0},
            },
            {**SEND, "payload": "s", "name": "talk"},
        ],
        {},
    ),
    "conditions": (
        [
            {**SEND, "payload": "${var.n}", "name": "no", "run_if": {"equals": ["${var.n}", 2]}},
            {**SEND, "payload": "${var.n}", "name": "yes", "skip_if": {"equals": ["${var.n}", 2]}},
            get("/ok", name="web", run_if={"truthy": "${session.none}"}),
        ],
        {"variables": {"n": 1}},
    ),
    "a group of all": (
        [{"group": "whole", "steps": [get("/ok", name="web"), {**SEND, "payload": "s", "name": "talk"}]}],
        {"iterations": 2},
    ),
    "a batch between messages": (
        [
            {**SEND, "payload": "1", "name": "before"},
            {"batch": [get("/ok?a", name="a"), get("/echo?b", name="b", extract=[{"var": "m", "path": "$.method"}])]},
            {**SEND, "payload": "${var.m}", "name": "after"},
        ],
        {"on_start": [LOG_IN], "iterations": 2},
    ),
    "names that differ, and requests that Python makes": (
        [
            {**SEND, "request_url": "/${var.room}", "payload": "p", "name": "to ${var.room}"},
            {**LINE, "payload": "${var.room}\n", "timeout": "${var.limit}", "name": "line of ${var.room}"},
            get("/echo?${var.room}", name="web of ${var.room}", extract=[{"var": "room", "path": "$.method"}]),
        ],
        {"variables": {"room": "blue", "limit": "5"}},
    ),
    "answers that come by themselves": (
        [
            {
                **WS,
                "method": "send",
                "payload": {"id": "${randint(1, 1000000)}"},
                "correlate": {"path": "id", "name": "heard"},
                "name": "send",
            },
            get("/delay/30", name="web"),
            {**LINE, "payload": "x\n", "name": "line"},
        ],
        {"iterations": 3, "seed": 5},
    ),
    "datagrams that nobody answers": (
        [get("/ok", name="web"), {**UDP, "payload": "d", "expect_substring": "d", "timeout": 0.05, "name": "datagram"}],
        {"iterations": 2},
    ),
    "weights": (
        {"mode": "weighted", "tasks": [get("/ok", name="web", weight=2), {**SEND, "payload": "s", "name": "talk", "weight": 1}]},
        {"iterations": 6},
    ),
    "a user of websockets who also sends HTTP": (
        [
            {"method": "sendrecv", "payload": "s", "name": "talk"},
            {"user": "http_user", **get("/whoami", name="who", headers={"X-A": "1"})},
            {**LINE, "payload": "x\n", "name": "line"},
        ],
        {"user": "websocket_user"},
    ),
    "a user of sockets alone who also has websockets": (
        [{"protocol": "tcp", "payload": "x\n", "expect_substring": "\n", "name": "line"}, {**SEND, "payload": "s", "name": "talk"}],
        {"user": "socket_user", "iterations": 2},
    ),
    "connections of HTTP that end with a pass, others that do not": (
        [get("/ok", name="web"), {**SEND, "payload": "s", "name": "talk"}],
        {"connection": "per_pass", "iterations": 3},
    ),
}


def asked_of(own: str, web: str, talk: Talk) -> dict[str, Any]:
    """Whom the steps ask: `host` those of the test's own user, `hosts` all others."""
    places = {"http_user" if own != "fast_http_user" else own: web, "websocket_user": talk.url, "socket_user": talk.place}
    return {"host": places.pop(own), "hosts": places}


def rows_of(done: Outcomes) -> list[tuple[Any, ...]]:
    """All that a row says but its times; of one user in the order of his hits."""
    names = done.run.names()
    found = []
    for row in done.rows:
        series = names.series[int(row["series"])]
        error = names.errors[int(row["error"])].text if row["error"] else ""
        numbers = [int(row[key]) for key in ("outcome", "status", "flags", "sent_bytes", "received_bytes")]
        found.append((int(row["user"]), series.method, series.name, *numbers, error))
    return found


def _counted_anew(text: str, heard: object) -> str:
    """The target numbers those who log in: here from 1."""
    numbers = sorted({int(number) for number in NUMBERED.findall(repr(heard))})
    return NUMBERED.sub(lambda found: str(numbers.index(int(found[0])) + 1), text)


@pytest.mark.parametrize("what", SCRIPTS)
def test_both_engines_ask_and_record_the_same(what: str, talk: Talk, target: Target, tmp_path: Path) -> None:
    steps, more = SCRIPTS[what]
    at_once = more.get("user_count", 1) > 1 or any(word in repr(steps) for word in ("batch", "correlate"))
    seen = {}
    for engine in ENGINES:
        target.reset()
        talk.forget()
        given = dict(more)
        own = given.pop("user", "fast_http_user")
        detail = {**on(engine, own), **({"connection": given.pop("connection")} if "connection" in given else {})}
        done = load(tmp_path / engine, steps, user_detail_dict=detail, **asked_of(own, target.url, talk), **given)
        assert done.run.facts.engine == engine
        asked = [(one.method, one.target, one.headers, one.body) for one in target.records()]
        heard: list[list[Any]] = [rows_of(done), asked, talk.cookies, talk.messages, talk.bytes]
        counted = [[_counted_anew(repr(one), heard) for one in part] for part in heard]
        seen[engine] = [sorted(part) if at_once else part for part in counted]
    assert seen["native"] == seen["locust"]
