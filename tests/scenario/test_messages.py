"""What functions speak beside HTTP: the same as steps and in Python, on both engines, with one set of cookies."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from click.testing import CliRunner

from loadflow.cli import main
from loadflow.engine.generator.native.fit import is_built
from loadflow.engine.load_test.user_types import user_type_of
from loadflow.engine.protocols.model.step import StepBase
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.scenario.loading import ALLOW, load_scenarios
from loadflow.engine.scenario.messages import KEYS, SILENT, VERBS, WHOM, message_of, user_of, users_spoken
from loadflow.engine.scenario.tracing import trace
from tests.load.harness import Outcomes, load, on
from tests.load.test_mixed import Talk, broker, methods, redis, talk
from tests.protocols.grpc.grpc_peer import PROTOS, GrpcShop
from tests.protocols.mqtt.mqtt_peers import Mosquitto
from tests.protocols.redis.test_redis import Redis
from tests.scenario.test_ways import arguments_of
from tests.services import need
from tests.targets.fixture import Target

__all__ = ["broker", "redis", "talk"]  # fixtures

ALL = """
    from loadflow import VUser, scenario, task


    @scenario(rps=1, seed=5)
    class Shop(VUser):
        def on_start(self, client):
            self.token = client.post("/login", json={"user": "ann"}).json()["token"]

        @task
        def talk(self, client):
            number = client.redis.command("INCR", "KEY", name="count").text
            client.mqtt.subscribe("rooms/+", name="join")
            client.mqtt.publish("rooms/1", {"id": number, "by": self.token}, qos=1, name="say")
            heard = client.mqtt.receive("rooms/1", name="hear").json()
            assert heard["by"]
            found = client.grpc.call("shop.Shop/Get", {"name": f"item-{heard['id']}"}, proto="PROTO", name="greet")
            assert found.ok
            said = client.websocket.sendrecv(f"{found.json()['name']} ${{}}"[:-4], request_url="TALK/x", name="talk")
            line = client.socket.tcp(f"{said.text}\\n", expect_substring="\\n", name="line")
            client.get(f"/whoami?{line.text.strip() if LATER else 1}")
            client.websocket.close()
"""


IN_CORE = """
    import asyncio

    from loadflow import RequestFailed, VUser, scenario, sleep, task

    SEEN = []


    @scenario(rps=1, hosts={"socket_user": "TCP"})
    class Shop(VUser):
        def on_start(self, client):
            SEEN.append(client.post("/login", json={"user": "ann"}, name="log in").ok)

        def on_stop(self, client):
            if SEEN:
                client.websocket.close(name="close")

        @task
        async def talk(self, client):
            said = await client.websocket.sendrecv({"n": [1, None], "raw": "${not a placeholder}"}, request_url="TALK/x", name="talk")
            assert said.json() == {"n": [1, None], "raw": "${not a placeholder}"}
            assert said.ok and said.status_code == 0 and said.content == said.text.encode() and said.elapsed_ms > 0
            assert said.headers.get("x") is None
            said.raise_for_status()
            sent = await client.websocket.send("unheard", request_url="TALK/x", name="sent")
            assert (sent.text, sent.content) == ("", b"")
            assert (await client.websocket.recv(request_url="TALK/x", name="heard")).text == "unheard"
            binary = await client.websocket.sendrecv("x", binary=True, request_url="TALK/x")
            line = await client.socket.tcp(f"{said.json()['n'][0]}\\n", expect_substring="\\n")
            await client.get(f"/whoami?{line.text.strip()}{binary.text}")

        def check_talk(self, status, body):
            assert status == 200 and body["sid"]

        @task
        def waits(self, client):
            if client.get("/ok").ok:
                sleep(0.001)
                client.socket.tcp("a\\n", expect_substring="\\n", name="line")
                client.batch([{"path": "/ok?a"}, {"path": "/ok?b"}])
                client.websocket.ping("p", request_url="TALK/x", name="ping")

        @task
        async def fails(self, client):
            try:
                await client.socket.tcp("x", target="127.0.0.1:PORT", name="gone")
            except RequestFailed as error:
                assert "refused" in str(error)
            try:
                await client.websocket.recv(timeout=0.05, request_url="TALK/x", name="late")
            except RequestFailed as error:
                assert str(error) == "no message came within 0.05 s"
            said = await client.websocket.sendrecv("a", request_url="TALK/x", name="unmet")
            assert "b" in said.text, "not what was said"

        @task
        async def unexpected(self, client):
            if SEEN:
                await client.websocket.sendrecv("a", expect="b", request_url="TALK/x", name="unexpected")

        @task
        async def nowhere(self, client):
            if SEEN:
                await client.websocket.connect(request_url="http://127.0.0.1/", name="nowhere")

        @task
        async def wrong(self, client):
            if (await client.get("/ok", name="before")).ok:
                await client.socket.tcp("x", expect_byte=1)

        @task
        async def verb(self, client):
            if (await client.get("/ok", name="before")).ok:
                await client.socket.tpc("x")

        @task
        async def placeholder(self, client):
            if SEEN:
                await client.socket.tcp("x", target="${var.x}:9", name="place")
"""


def rows_of(done: Outcomes) -> list[tuple[Any, ...]]:
    names = done.run.names()
    found = []
    for row in done.rows:
        series = names.series[int(row["series"])]
        error = names.errors[int(row["error"])].text if row["error"] else ""
        found.append(
            (series.method, series.name, *(int(row[key]) for key in ("outcome", "status", "flags", "sent_bytes", "received_bytes")), error)
        )
    return found


def test_functions_speak_other_protocols_alike_on_both_engines(talk: Talk, target: Target, unused_port: int, tmp_path: Path) -> None:
    text = IN_CORE.replace("TALK", talk.url).replace("PORT", str(unused_port)).replace("TCP", talk.place)
    file = written(tmp_path, text)
    tasks = [{"call": f"{file}:Shop.{one.name}"} for one in load_scenarios(file)[0].tasks]
    seen = {}
    for engine in ("native", "locust"):
        target.reset()
        talk.forget()
        done = load(
            tmp_path / engine,
            tasks,
            on_start=[{"call": f"{file}:Shop.on_start"}],
            on_stop=[{"call": f"{file}:Shop.on_stop"}],
            user_detail_dict=on(engine, "python_user"),
            host=target.url,
            hosts={"socket_user": talk.place},
            iterations=3,
        )
        assert done.run.facts.engine == engine
        heard = sorted(
            (one.target, [(name, without_session(value)) for name, value in one.headers]) for one in target.records()
        )  # of a batch any may be the first
        seen[engine] = (rows_of(done), heard, [without_session(one) for one in talk.cookies], talk.messages, talk.bytes)
    assert seen["native"] == seen["locust"]
    told = {name: error.partition(" (line")[0] for _, name, *_, error in seen["native"][0] if error}
    assert told["unmet"] == "not what was said"
    assert told["late"] == "no message came within 0.05 s"


def without_session(header: str) -> str:
    """The target numbers its sessions over all tests: what remains is alike on both engines."""
    return re.sub(r"\bsid=s-\d+", "sid=s-N", header)


@pytest.fixture(autouse=True)
def _allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOW, "1")


def written(folder: Path, text: str) -> Path:
    file = folder / "shop.py"
    file.write_text(dedent(text))
    return file


def made(folder: Path, file: Path, way: str, host: str, hosts: dict[str, str], **more: Any) -> Outcomes:
    arguments = arguments_of(file, way)
    for key in ("rate", "host", "thresholds"):
        arguments.pop(key, None)
    given: dict[str, Any] = {"iterations": 2, **arguments, "host": host, "hosts": hosts, **more}
    return load(folder / way, given.pop("tasks"), user_count=1, **given)


def test_all_protocols_as_steps_and_in_python(
    talk: Talk, target: Target, broker: Mosquitto, redis: Redis, shop: GrpcShop, tmp_path: Path
) -> None:
    text = ALL.replace("TALK", talk.url).replace("PROTO", str(PROTOS / "shop.proto"))
    text = text.replace(""" ${{}}"[:-4]""", '"').replace("line.text.strip() if LATER else 1", "said.text if False else 1")
    hosts = {"redis_user": redis.place, "mqtt_user": broker.place, "grpc_user": shop.target, "socket_user": talk.place}
    seen = []
    for way in ("steps", "python"):
        target.reset()
        talk.cookies.clear(), talk.messages.clear(), talk.bytes.clear()
        before = len(shop.messages)
        done = made(tmp_path, written(tmp_path, text.replace("KEY", way)), way, target.url, hosts)
        assert [hit for hit in done.hits if hit.outcome is not Outcome.OK] == []
        assert done.run.facts.engine == "locust"
        assert [one.header("cookie") for one in target.records("/whoami")] == [talk.cookies[0] + "; room=blue"] * 2
        asked = [one.target for one in target.records()]
        seen.append((done.counts(), methods(done), talk.messages[:], talk.bytes[:], shop.messages[before:], asked))
    assert seen[0] == seen[1]
    counts, spoken, said, lines, greeted, _ = seen[0]
    assert set(counts.values()) == {1, 2}
    messages = ("join", "say", "hear")
    others = {"count": "REDIS", "greet": "GRPC", "talk": "WS", "line": "TCP", "talk 9": "WS"}
    assert spoken == {"on_start: request 1": "POST", "talk 8": "GET", **dict.fromkeys(messages, "MQTT"), **others}
    assert (said, lines) == (["item-1", "item-2"], [b"item-1\n", b"item-2\n"])
    assert greeted == [{"name": "item-1"}, {"name": "item-2"}]


PYTHON = """
    from loadflow import RequestFailed, VUser, scenario, task


    @scenario(rps=1)
    class Shop(VUser):
        @task
        async def talk(self, client):
            for number in range(3):
                said = await client.websocket.sendrecv({"n": number, "raw": "${not a placeholder}"}, request_url="TALK/x")
                assert said.json() == {"n": number, "raw": "${not a placeholder}"}
                assert said.ok and said.content and said.elapsed_ms > 0
            try:
                await client.socket.tcp("x", target="127.0.0.1:PORT", name="gone")
            except RequestFailed as error:
                assert "refused" in str(error)
            await client.websocket.send("unheard", name="sent")

        @task
        def wrong(self, client):
            if client.get("/ok").ok:
                client.websocket.sned("x")

        @task
        def key(self, client):
            client.get("/ok") and client.mqtt.publish("a", paylod="x")

        @task
        def nobody(self, client):
            client.get("/ok") and client.redis.command("PING", name="nobody")

        @task
        def unmet(self, client):
            said = client.websocket.sendrecv("a", request_url="TALK/x", name="unmet")
            assert "b" in said.text, "not what was said"
"""


@pytest.mark.long
def test_functions_that_no_steps_can_say(talk: Talk, target: Target, unused_port: int, tmp_path: Path) -> None:
    target.reset()
    text = PYTHON.replace("TALK", talk.url).replace("PORT", str(unused_port))
    file = written(tmp_path, text)
    assert set(trace(load_scenarios(file)[0]).refused) == {"talk", "wrong", "key", "nobody"}
    arguments = {"mode": "sequence", "tasks": [{"call": f"{file}:Shop.{name}"} for name in ("talk", "wrong", "key", "nobody", "unmet")]}
    told = {}
    for task in arguments["tasks"]:
        done = load(
            tmp_path / "runs", [task], user_detail_dict={"user": "python_user"}, host=target.url, hosts={"mqtt_user": "127.0.0.1:1"}
        )
        told.update({(hit.name, hit.outcome): hit.error.partition(" (line")[0] for hit in done.hits})
        assert done.run.facts.protocol == "python_user, websocket_user, mqtt_user, socket_user, redis_user"
    assert told.pop(("gone", Outcome.CONNECT)).endswith("Connection refused")
    assert told.pop(("key", Outcome.TEMPLATE)).startswith("TypeError: client.mqtt.publish takes no 'paylod'; it takes name, broker, ")
    assert told == {
        **{(name, Outcome.OK): "" for name in ("talk", "talk 2", "talk 3", "sent")},
        ("wrong", Outcome.OK): "",
        ("nobody", Outcome.OK): "",
        ("nobody", Outcome.TEMPLATE): 'says not whom it asks; give server=…, or hosts={"redis_user": "host:port"} to @scenario',
        ("key", Outcome.OK): "",
        ("wrong", Outcome.TEMPLATE): "TypeError: there is no client.websocket.sned; there are connect, send, recv, sendrecv, ping, close",
        ("unmet", Outcome.ASSERTION): "not what was said",
    }


REFLECTED = """
    from loadflow import RequestFailed, VUser, scenario, task

    SEEN = []


    @scenario(rps=1, hosts={"grpc_user": "SHOP"})
    class Shop(VUser):
        @task
        def asks(self, client):
            for name in ("a", "b"):
                found = client.grpc.call("shop.Shop/Get", {"name": name}, reflection=True, name="get")
                SEEN.append(found.json()["name"])

        @task
        async def lacks(self, client):
            for _ in range(2):
                try:
                    await client.grpc.call("shop.Shop/Nothing", {}, reflection=True, name="lacks")
                except RequestFailed as error:
                    SEEN.append(str(error))

        @task
        def unsaid(self, client):
            SEEN.append(client.grpc.call("shop.Shop/Get", {}, name="unsaid"))
"""


def test_a_function_calls_a_method_that_the_server_describes(shop: GrpcShop, target: Target, tmp_path: Path) -> None:
    file = written(tmp_path, REFLECTED.replace("SHOP", shop.target))
    before = len(shop.messages)
    done = load(
        tmp_path / "runs",
        [{"call": f"{file}:Shop.{name}"} for name in ("asks", "lacks", "unsaid")],
        user_detail_dict={"user": "python_user"},
        host=target.url,
        hosts={"grpc_user": shop.target},
        user_count=2,
    )
    told = {(hit.name, hit.outcome, hit.error) for hit in done.hits}
    assert shop.messages[before:] and {message["name"] for message in shop.messages[before:]} == {"a", "b"}
    assert ("get", Outcome.OK, "") in told
    errors = {name: error for name, _, error in told if error}
    assert "Nothing" in errors["lacks"], errors
    assert errors["unsaid"].startswith("say how the method is known: proto=, a file, stub_path=")
    assert done.counts() == {"get": 4, "lacks": 4, "unsaid": 2}


def test_the_check_says_who_makes_the_load_and_why(tmp_path: Path) -> None:
    need(is_built(), "the native core is not built")
    file = written(tmp_path, PYTHON.replace("TALK", "ws://127.0.0.1:1").replace("PORT", "1"))
    with_host = file.read_text().replace("rps=1", 'rps=1, hosts={"mqtt_user": "127.0.0.1:1"}')
    file.write_text(with_host)
    done = CliRunner().invoke(main, ["check", str(file)])
    assert done.exit_code == 0, done.output + done.stderr
    assert "  unmet: traced, 1 step\n" in done.output
    assert "  talk: on Locust, because line 1" in done.output
    (said,) = [line for line in done.output.splitlines() if "so Locust makes the load" in line]
    assert said.startswith("  so Locust makes the load, as the native core does not take ")
    assert "redis_user" in said and "websocket_user" not in said
    proved = CliRunner().invoke(main, ["check", "--prove", str(file)])
    assert "unmet: not proved: it speaks to websocket_user's peer, and a proof is of HTTP" in proved.output, proved.output
    assert proved.exit_code == 3


def test_what_the_client_of_the_core_lacks_is_said(target: Target, tmp_path: Path) -> None:
    """A protocol that the check could not find in the files of the scenario."""
    need(is_built(), "the native core is not built")
    text = """
    from loadflow import VUser, scenario, task


    @scenario(rps=1)
    class Shop(VUser):
        @task
        def hidden(self, client):
            if client.get("/ok").ok:
                getattr(client, "web" + "socket").send("x")
    """
    file = written(tmp_path, text)
    task = [{"call": f"{file}:Shop.hidden"}]
    for engine in ("native", "locust"):
        done = load(tmp_path / engine, task, user_detail_dict={"user": "python_user", "engine": engine}, host=target.url)
        (hit,) = done.hits
        assert hit.error.startswith("RuntimeError: loadflow did not find client.websocket in the scenario's file when it checked it"), hit


@pytest.mark.parametrize("protocol", VERBS)
def test_the_keys_of_a_call_are_those_of_a_step(protocol: str) -> None:
    user_type = user_type_of(user_of(protocol))
    assert user_type is not None
    form = user_type.form.step
    said = {"websocket": {"method", "url", "client_cert", "correlate"}, "mqtt": {"method", "host"}, "grpc": {"host"}}
    by_itself = said.get(protocol, {"protocol", "host"} if protocol == "socket" else set())
    assert set(KEYS[protocol].split()) == set(form.keys()) - set(StepBase.keys()) - by_itself
    assert WHOM.get(protocol) == next(iter(user_type.whom), None)
    for verb, places in VERBS[protocol].items():
        assert {place.lstrip("*") for place in places} <= set(KEYS[protocol].split()), verb
    assert set(SILENT.get(protocol, ())) <= set(VERBS[protocol])


MISUSED: list[tuple[str, tuple[str, str], tuple[Any, ...], dict[str, Any], str]] = [
    ("a verb that there is not", ("mqtt", "send"), (), {}, "there is no client.mqtt.send; there are connect, publish"),
    ("too many by position", ("websocket", "recv"), ("x",), {}, "client.websocket.recv takes nothing by position"),
    ("one given twice", ("mqtt", "publish"), ("a",), {"topic": "b"}, "client.mqtt.publish is given topic twice"),
    ("no word", ("redis", "command"), (), {}, "client.redis.command takes at least one word"),
    ("a key of steps alone", ("socket", "tcp"), (), {"retry": {}}, "client.socket.tcp takes no 'retry'; it takes name, target"),
]


@pytest.mark.parametrize(("call", "arguments", "named", "text"), [row[1:] for row in MISUSED], ids=[row[0] for row in MISUSED])
def test_what_a_call_does_not_take(call: tuple[str, str], arguments: tuple[Any, ...], named: dict[str, Any], text: str) -> None:
    with pytest.raises(TypeError) as caught:
        message_of(*call, arguments, named)
    assert str(caught.value).startswith(text)


SPOKEN = [
    ("client.websocket.send('x')", ("websocket_user",)),
    ("ws = client.websocket", ("websocket_user",)),
    ("helper.redis.command('GET', 'a')", ("redis_user",)),
    ("import socket; socket.socket.tcp('x')", ("socket_user",)),
    ("import socket; socket.socket().send(b'x')", ()),
    ("self.mqtt = 5", ()),
    ("client.get('/grpc')", ()),
]


@pytest.mark.parametrize(("line", "users"), SPOKEN)
def test_which_protocols_a_scenario_speaks(line: str, users: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "one.py"
    head = "from loadflow import scenario, task\n\n\n@scenario()\nclass One:\n    @task\n    def one(self, client, helper=None):\n"
    file.write_text(f"{head}        {line}\n")
    assert users_spoken(load_scenarios(file)[0].cls) == users
