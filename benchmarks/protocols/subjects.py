"""What is measured: for each protocol a server, a step, and the tools that its users would take."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.http_users import PEERS, load_density
from benchmarks.protocols.clients import LOAD_DENSITY, LOADFLOW, gevent, k6, threads
from benchmarks.protocols.measure import Tool
from benchmarks.protocols.servers import go_program, program

__all__ = ["CORE", "SUBJECTS", "Load", "Missing", "Subject"]

CORE = "loadflow, core"
USERS = 50
PROTO = """
syntax = "proto3";
package bench;
message Text { string text = 1; }
service Bench { rpc Call(Text) returns (Text); }
"""
# what protoc would write, as far as LoadDensity needs it
STUBS = """
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
file = descriptor_pb2.FileDescriptorProto(name="bench.proto", package="bench", syntax="proto3")
file.message_type.add(name="Text").field.add(name="text", number=1, type=9, label=1)
Text = message_factory.GetMessageClass(descriptor_pool.Default().AddSerializedFile(file.SerializeToString()).message_types_by_name["Text"])
class BenchStub:
    def __init__(self, channel):
        self.Call = channel.unary_unary("/bench.Bench/Call", Text.SerializeToString, Text.FromString)
"""


class Missing(Exception):
    """A tool is not here; the message says where it comes from."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a tool is asked for; it may write files into `folder`, where it runs."""

    target: str
    port: int
    users: int
    seconds: float
    folder: Path


@dataclass(frozen=True, slots=True)
class Subject:
    """`tools`: those that need more than the keys of a step, each a function that may raise Missing."""

    user: str
    server: str
    step: dict[str, Any]
    tools: tuple[Callable[[Load], Tool], ...]
    load_density: dict[str, Any]  # the step in its keys; the target comes under `load_density_target`
    load_density_target: str = "target"
    target: str = "127.0.0.1:{port}"
    users: int = USERS
    files: dict[str, str] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)  # what else `user_detail_dict` says
    is_cores_own: bool = False  # neither Locust nor LoadDensity can do it

    def all_tools(self, load: Load) -> Iterator[Callable[[], Tool]]:
        """The core first. Each call may raise Missing."""
        detail = json.dumps({"user": self.user, **self.detail})
        own = [sys.executable, "-c", LOADFLOW, detail, json.dumps(self.step), load.target, f"{load.seconds}", str(load.users)]
        yield lambda: Tool(CORE, [*own, "native"], tells=True)
        if not self.is_cores_own:
            yield lambda: Tool("loadflow, Locust", [*own, "locust"], tells=True)
        for tool in self.tools:
            yield partial(tool, load)
        if not self.is_cores_own:
            yield lambda: self._load_density(load)

    def _load_density(self, load: Load) -> Tool:
        python = load_density("grpc", "mqtt")
        if python is None:
            raise Missing("LoadDensity (PyPI: je_load_density)")
        step = json.dumps(self.load_density | {self.load_density_target: load.target})
        return Tool("LoadDensity", [str(python), "-c", LOAD_DENSITY, self.user, step, f"{load.seconds}", str(load.users)])


def _plain(name: str, code: str, asked: float | None = None) -> Callable[[Load], Tool]:
    """A program of Python."""
    return lambda load: Tool(name, [sys.executable, "-c", code, load.target, f"{load.seconds}", str(load.users)], tells=True, asked=asked)


def _bare(kind: str) -> Callable[[Load], Tool]:
    def tool(load: Load) -> Tool:
        command = [program("bare"), kind, load.target, f"{load.seconds}", str(load.users)]
        return Tool("bare loop (Rust, epoll)", command, tells=True, asked=0.8)

    return tool


def _ghz(connections: int, asked: float | None) -> Callable[[Load], Tool]:
    def tool(load: Load) -> Tool:
        call = ["--insecure", "--proto", "bench.proto", "--call", "bench.Bench/Call", "-d", '{"text": "hello"}']
        often = ["-c", str(load.users), "--connections", str(connections), "-z", f"{load.seconds}s"]
        command = [_found("ghz", "go install github.com/bojand/ghz/cmd/ghz@latest"), *call, *often, load.target]
        return Tool(f"ghz, {connections} connection{'s' if connections > 1 else ''}", command, asked=asked)

    return tool


def _k6(load: Load) -> Tool:
    k6_program = _found("k6", "go install go.k6.io/k6@latest")
    (load.folder / "websocket.js").write_text(k6(load.target, load.users, load.seconds))
    return Tool("k6", [k6_program, "run", "--quiet", "--no-usage-report", "websocket.js"], asked=5)


def _mosquitto_pub(load: Load) -> Tool:
    """A connection that does not wait for each acknowledgement: 20 messages may be under way."""
    publisher = _found("mosquitto_pub", "apt-get install mosquitto-clients")
    lines = f"exec timeout {load.seconds} yes hello | exec {publisher} -h 127.0.0.1 -p {load.port} -q 1 -t t -l"
    return Tool("mosquitto_pub -l, 1 connection", ["sh", "-c", lines], asked=5)


def _quic_go(connections: int) -> Callable[[Load], Tool]:
    def tool(load: Load) -> Tool:
        command = [go_program("client"), load.target, f"{load.seconds}", str(load.users), str(connections)]
        return Tool(f"quic-go, {connections} connections", command, tells=True, asked=0.7)

    return tool


def _oha(streams: int) -> Callable[[Load], Tool]:
    """Its users share a connection where `streams` are more than one. One that was built without HTTP/3 ends at once."""

    def tool(load: Load) -> Tool:
        program = _found("oha", "cargo install oha --features http3")
        often = ["--http-version", "3", "--insecure", "-c", str(load.users // streams), "-p", str(streams), "-z", f"{load.seconds}s"]
        return Tool("oha", [program, "--no-tui", *often, load.target], asked=0.7)

    return tool


def _found(name: str, source: str) -> str:
    path = os.pathsep.join([os.environ["PATH"], str(Path.home() / "go" / "bin"), str(PEERS / "bin")])
    found = shutil.which(name, path=path)
    if found is None:
        raise Missing(f"{name} (`{source}`)")
    return found


def _grpc(server: str, users: int, tools: tuple[Callable[[Load], Tool], ...], **more: Any) -> Subject:
    return Subject(
        user="grpc_user",
        server=server,
        step={"proto": "bench.proto", "method": "bench.Bench/Call", "payload": {"text": "hello"}, **more},
        tools=tools,
        load_density={"stub_path": "stubs.BenchStub", "request_path": "stubs.Text", "method": "Call", "payload": {"text": "hello"}},
        files={"bench.proto": PROTO, "stubs.py": STUBS},
        users=users,
    )


WEBSOCKET = """
import websocket
def user():
    connection, count = websocket.create_connection(f"ws://{host}:{port}/"), 0
    while time.monotonic() < end:
        connection.send('{"id": 1, "text": "hello"}')
        assert "hello" in connection.recv()
        count += 1
    return count
"""
TCP = """
import socket
def user():
    connection, count = socket.create_connection((host, int(port))), 0
    while time.monotonic() < end:
        connection.sendall(b"hello, hello")
        assert b"hello" in connection.recv(12)
        count += 1
    return count
"""
UDP = """
import socket
def user():
    connection, count = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0
    connection.connect((host, int(port)))
    while time.monotonic() < end:
        connection.send(b"hello, hello")
        connection.recv(64)
        count += 1
    return count
"""
GRPC = """
import grpc
channels = [grpc.insecure_channel(host + ":" + port, (("grpc.use_local_subchannel_pool", 1),)) for _ in range(%s)] * %s
def user():
    channel = channels.pop()
    call, count = channel.unary_unary("/bench.Bench/Call"), 0
    while time.monotonic() < end:
        call(b"\\x0a\\x05hello", timeout=10)
        count += 1
    return count
"""


def _grpcio(users: int, connections: int, asked: float | None) -> Callable[[Load], Tool]:
    return _plain("grpcio in threads", threads(GRPC % (connections, users // connections)), asked)


PAHO = """
import paho.mqtt.client as paho
def user():
    client, count = paho.Client(paho.CallbackAPIVersion.VERSION2), 0
    client.connect(host, int(port))
    client.loop_start()
    while time.monotonic() < end:
        client.publish("t", "hello", 1).wait_for_publish(5)
        count += 1
    client.disconnect()
    return count
"""
CONTAINS_HELLO = {"type": "contains", "value": "hello"}
MQTT_TOOLS = (_plain("paho-mqtt under gevent", gevent(PAHO), 5), _plain("paho-mqtt in threads", threads(PAHO), 5), _mosquitto_pub)
SUBJECTS = {
    "websocket": Subject(
        user="websocket_user",
        server="websocket",
        target="ws://127.0.0.1:{port}",
        step={"method": "sendrecv", "payload": '{"id": 1, "text": "hello"}', "assertions": [CONTAINS_HELLO]},
        tools=(
            _k6,
            _plain("websocket-client under gevent", gevent(WEBSOCKET), 5),
            _plain("websocket-client in threads", threads(WEBSOCKET), 5),
        ),
        load_density={"method": "sendrecv", "payload": '{"id": 1, "text": "hello"}', "expect": "hello"},
        load_density_target="request_url",
    ),
    "tcp": Subject(
        user="socket_user",
        server="tcp",
        step={"payload": "hello, hello", "expect_bytes": 12, "keep": True, "assertions": [CONTAINS_HELLO]},
        tools=(_bare("tcp"), _plain("socket under gevent", gevent(TCP))),
        load_density={"protocol": "tcp", "payload": "hello, hello", "expect_bytes": 12},
    ),
    "udp": Subject(
        user="socket_user",
        server="udp",
        step={"protocol": "udp", "payload": "hello, hello", "expect_bytes": 12, "keep": True},
        tools=(_bare("udp"), _plain("socket under gevent", gevent(UDP))),
        load_density={"protocol": "udp", "payload": "hello, hello", "expect_bytes": 12},
    ),
    "grpc": _grpc("grpc", USERS, (_ghz(USERS, 3), _grpcio(USERS, USERS, 5))),
    "grpc, 1 connection": _grpc("grpc", USERS, (_ghz(1, 3), _grpcio(USERS, 1, 5)), channels=1),
    "grpc, calls of 200 ms": _grpc("grpc 200", 10, (_ghz(10, None), _grpcio(10, 10, None))),
    "mqtt, QoS 1": Subject(
        user="mqtt_user",
        server="mqtt",
        step={"topic": "t", "payload": "hello", "qos": 1},
        tools=MQTT_TOOLS,
        load_density={"topic": "t", "payload": "hello", "qos": 1},
        load_density_target="broker",
    ),
}
SUBJECTS["mqtt, QoS 1, mosquitto"] = Subject(
    user="mqtt_user",
    server="mosquitto",
    step={"topic": "t", "payload": "hello", "qos": 1},
    tools=MQTT_TOOLS,
    load_density={"topic": "t", "payload": "hello", "qos": 1},
    load_density_target="broker",
)


def _http3(users: int, streams: int) -> Subject:
    return Subject(
        user="fast_http_user",
        server="http3",
        step={"method": "get", "request_url": "/", "verify": False, "assertions": [CONTAINS_HELLO]},
        tools=(_quic_go(users // streams), _oha(streams)),
        load_density={},
        target="https://127.0.0.1:{port}",
        users=users,
        detail={"http_version": 3, **({"streams": streams} if streams > 1 else {})},
        is_cores_own=True,
    )


SUBJECTS["http3"] = _http3(USERS, 1)
SUBJECTS["http3, 10 streams"] = _http3(100, 10)
