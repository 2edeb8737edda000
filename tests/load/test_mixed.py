"""One user of several protocols: one set of variables and cookies, a client of each protocol, rows that say which it was."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from loadflow.engine.generator.native.fit import choose, is_built
from loadflow.engine.load.build import Asked, build_plan
from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.target import TargetRules
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.resolve.variables import Variables
from loadflow.errors import CommandError
from tests.load.harness import ENGINES, Outcomes, get, load, post
from tests.protocols.grpc.grpc_peer import PROTOS, GrpcShop
from tests.protocols.mqtt.mqtt_peers import Mosquitto
from tests.protocols.peers import Loop, running_loop
from tests.protocols.redis.test_redis import Redis, redis
from tests.services import need
from tests.targets.fixture import Target

__all__ = ["redis"]  # a fixture

WS, MQTT, TCP, GRPC, REDIS = ({"user": f"{name}_user"} for name in ("websocket", "mqtt", "socket", "grpc", "redis"))


class Talk:
    """A WebSocket server that echoes and sets a cookie, and a TCP server that echoes; what they received."""

    def __init__(self, loop: Loop) -> None:
        self.forget()

        async def start() -> Any:
            return await serve(self._talk, "127.0.0.1", 0, process_response=self._greet)

        server = loop.run(start())
        loop.at_end(server.close)
        self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self.place = f"127.0.0.1:{loop.tcp(self._echo)}"

    def forget(self) -> None:
        self.cookies: list[str] = []
        self.messages: list[str | bytes] = []
        self.bytes: list[bytes] = []

    @staticmethod
    def _greet(connection: ServerConnection, request: Any, response: Any) -> None:
        response.headers["Set-Cookie"] = "room=blue; Path=/"

    async def _talk(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.cookies.append(connection.request.headers.get("Cookie", ""))
        with contextlib.suppress(ConnectionClosed):
            async for message in connection:
                self.messages.append(message)
                await connection.send(message)

    async def _echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            self.bytes.append(data)
            writer.write(data)


@pytest.fixture(scope="module")
def talk() -> Iterator[Talk]:
    with running_loop() as loop:
        yield Talk(loop)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path)
    yield broker
    broker.stop()


def methods(done: Outcomes) -> dict[str, str]:
    return {one.name: one.method for one in done.run.names().series.values()}


def failures(done: Outcomes) -> list[str]:
    return [f"{hit.name}: {hit.error}" for hit in done.hits if hit.outcome is not Outcome.OK]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_user_logs_in_by_http_and_goes_on_by_socket_with_its_own_cookies_and_values(
    talk: Talk, target: Target, engine: str, tmp_path: Path
) -> None:
    target.reset()
    talk.forget()
    token = {"var": "token", "path": "$.token", "scope": "session"}
    steps: list[Any] = [
        {**WS, "method": "sendrecv", "payload": "${session.token}", "assertions": [{"type": "contains", "value": "t-"}], "name": "talk"},
        {**TCP, "payload": "${session.token}\n", "expect_substring": "\n", "name": "line", "extract": [{"var": "line", "from": "body"}]},
        get("/whoami?${var.line}", name="who", assertions=[{"type": "contains", "value": "s-"}]),
        {**WS, "method": "close", "name": "bye"},
    ]
    more: dict[str, Any] = {"engine": engine, "host": target.url, "hosts": {"websocket_user": talk.url, "socket_user": talk.place}}
    done = load(tmp_path, steps, on_start=[post("/login", name="log in", extract=[token])], user_count=3, iterations=2, **more)
    assert failures(done) == []
    assert done.counts() == {"on_start: log in": 3, "talk": 6, "line": 6, "who": 6, "bye": 6}
    assert methods(done) == {"on_start: log in": "POST", "talk": "WS", "line": "TCP", "who": "GET", "bye": "WS"}
    tokens = sorted(set(map(str, talk.messages)))
    assert len(tokens) == 3, "each user sends what it got"
    assert sorted(talk.messages) == sorted(tokens * 2)
    assert sorted(talk.bytes) == sorted(f"{one}\n".encode() for one in tokens * 2)
    first, later = talk.cookies[:3], talk.cookies[3:]
    assert {one.partition("=")[0] for one in first} == {"sid"}
    assert len(set(first)) == 3, "the handshake has the cookie of its own user's log-in"
    assert sorted(later) == sorted(f"{one}; room=blue" for one in first), "and gives cookies that the next one has"
    who = target.records("/whoami")
    assert {record.header("cookie") for record in who} == {f"{one}; room=blue" for one in first}, "as HTTP has"
    assert done.run.facts.protocol == "fast_http_user, websocket_user, socket_user"
    assert done.run.facts.engine == engine


def test_one_user_speaks_all_protocols_by_turns(
    talk: Talk, target: Target, broker: Mosquitto, redis: Redis, shop: GrpcShop, tmp_path: Path
) -> None:
    target.reset()
    take = [{"var": "id", "path": "$"}]
    greet = {"proto": str(PROTOS / "shop.proto"), "method": "shop.Shop/Get", "payload": {"name": "item-${var.id}"}}
    done = load(
        tmp_path,
        [
            {**REDIS, "command": ["INCR", "mixed"], "extract": take, "name": "count"},
            {**MQTT, "method": "subscribe", "topic": "rooms/+", "name": "join"},
            {**MQTT, "method": "publish", "topic": "rooms/1", "payload": {"id": "${var.id}"}, "qos": 1, "name": "say"},
            {**MQTT, "method": "receive", "topic": "rooms/1", "name": "hear", "extract": [{"var": "heard", "path": "$.id"}]},
            {**GRPC, **greet, "name": "greet", "assertions": [{"type": "json_path", "path": "$.name", "value": "item-${var.heard}"}]},
            {**WS, "request_url": f"{talk.url}/x", "method": "sendrecv", "payload": "${var.heard}", "name": "talk", "expect": "1"},
            get("/echo?${var.heard}", name="web"),
        ],
        user_detail_dict={"user": "fast_http_user"},
        host=target.url,
        hosts={"redis_user": redis.place, "mqtt_user": broker.place, "grpc_user": shop.target},
    )
    assert failures(done) == []
    spoken = {"count": "REDIS", "join": "MQTT", "say": "MQTT", "hear": "MQTT", "greet": "GRPC", "talk": "WS", "web": "GET"}
    assert methods(done) == spoken
    assert [record.target for record in target.records()] == ["/echo?1"]
    assert shop.messages == [{"name": "item-1"}]
    why = done.run.facts.why_not_native
    assert why.startswith("the native core does not take user 'redis_user'")
    assert why in unescape((done.run.folder / "report.html").read_text())


@pytest.mark.parametrize("engine", ENGINES)
def test_one_lost_peer_fails_its_own_steps_alone(talk: Talk, target: Target, unused_port: int, engine: str, tmp_path: Path) -> None:
    target.reset()
    gone = {**TCP, "target": f"127.0.0.1:{unused_port}", "payload": "x", "name": "gone"}
    done = load(
        tmp_path,
        [get("/ok", name="web"), gone, {**WS, "method": "ping", "name": "ping"}],
        engine=engine,
        host=target.url,
        hosts={"websocket_user": talk.url},
    )
    assert {hit.name: hit.outcome for hit in done.hits} == {"web": Outcome.OK, "gone": Outcome.CONNECT, "ping": Outcome.OK}


# before the load


def asked(*steps: Any, **more: Any) -> Asked:
    arguments = {"user_detail_dict": {}, "tasks": list(steps), **more}
    return build_plan(arguments, Variables(), {}, TargetRules(allowed_hosts=("127.0.0.1",)), lambda name: name)


def test_who_makes_the_load_is_said_with_the_reason() -> None:
    need(is_built(), "the native core is not built")
    mixed = (get("/a"), {**WS, "method": "ping"}, {**TCP, "target": "127.0.0.1:9", "payload": "x"})
    assert choose(asked(*mixed, host="http://127.0.0.1:8").plan, "auto") == ("native", "")
    plan = asked(*mixed, {**REDIS, "command": ["PING"]}, host="http://127.0.0.1:8", hosts={"redis_user": "127.0.0.1:9"}).plan
    assert choose(plan, "auto") == ("locust", "the native core does not take user 'redis_user'")
    with pytest.raises(CommandError, match="does not take user 'redis_user'"):
        choose(plan, "native")


def test_a_relative_address_of_the_other_of_http_and_websocket_is_of_the_same_server() -> None:
    plan = asked(get("/a"), {**WS, "method": "connect", "request_url": "/talk"}, host="https://127.0.0.1:8").plan
    assert plan.hosts == {"websocket_user": "wss://127.0.0.1:8"}
    plan = asked(
        {"method": "connect"}, {**get("/a"), "user": "http_user"}, host="ws://127.0.0.1:8", user_detail_dict={"user": "websocket_user"}
    ).plan
    assert plan.hosts == {"http_user": "http://127.0.0.1:8"}


def test_a_host_that_may_not_be_loaded_is_refused_in_each_protocol() -> None:
    with pytest.raises(CommandError) as caught:
        asked(get("/a"), {**TCP, "target": "10.0.0.1:9", "payload": "x"}, host="http://127.0.0.1:8")
    assert "10.0.0.1 may not be loaded here" in str(caught.value)


def test_a_plan_of_several_protocols_survives_its_way_to_the_engine() -> None:
    plan = asked(get("/a"), {**WS, "method": "ping"}, host="http://127.0.0.1:8").plan
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert again.part("websocket_user").steps == (plan.steps[1],)
    assert again.part("websocket_user").host == "ws://127.0.0.1:8"
    assert again.part("fast_http_user").steps == (plan.steps[0],)
