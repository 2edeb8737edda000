"""What `benchmarks.protocols` measures: a server, a step and a plain client for each protocol."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["SUBJECTS", "Subject"]

USERS = 50

# how the plain client's `user` runs many times at once: each returns what it counted
GEVENT = """
from gevent import monkey; monkey.patch_all()
import gevent
def together(user, users):
    jobs = [gevent.spawn(user) for _ in range(users)]
    gevent.joinall(jobs)
    return sum(job.value for job in jobs)
"""
THREADS = """
from concurrent.futures import ThreadPoolExecutor
def together(user, users):
    with ThreadPoolExecutor(users) as pool:
        return sum(job.result() for job in [pool.submit(user) for _ in range(users)])
"""
# a server that says, for each line that it reads, how many messages it has answered so far
COUNTING = """
import sys, threading
answered = 0
def tell():
    for _ in sys.stdin: print(answered, flush=True)
threading.Thread(target=tell, daemon=True).start()
"""
ECHO = (
    COUNTING
    + """
import asyncio
class Echo(asyncio.Protocol, asyncio.DatagramProtocol):
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data):
        global answered
        answered += 1
        self.transport.write(data)
    def datagram_received(self, data, address):
        global answered
        answered += 1
        self.transport.sendto(data, address)
async def main():
    loop = asyncio.get_running_loop()
    if %r == "tcp":
        server = await loop.create_server(Echo, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
    else:
        transport, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
        print(transport.get_extra_info("sockname")[1], flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
)
BROKER = """
import os, shutil, socket, time
with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
if os.fork():
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1), os.dup2(quiet, 2)
    os.execv(shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin"), ["mosquitto", "-p", str(port)])
while True:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
        break
    except ConnectionRefusedError:
        time.sleep(0.05)
print(port, flush=True)
"""
GRPC_SERVER = (
    COUNTING
    + """
import time
from concurrent.futures import ThreadPoolExecutor
import grpc
counting = threading.Lock()
def fast(request, context):
    global answered
    with counting: answered += 1
    return request
def slow(request, context):
    time.sleep(0.2)
    return fast(request, context)
acts = {"Fast": fast, "Slow": slow}
handlers = {name: grpc.unary_unary_rpc_method_handler(act) for name, act in acts.items()}
server = grpc.server(ThreadPoolExecutor(64))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Bench", handlers),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(port, flush=True)
threading.Event().wait()
"""
)
PROTO = """
syntax = "proto3";
package bench;
message Text { string text = 1; }
service Bench { rpc Fast(Text) returns (Text); rpc Slow(Text) returns (Text); }
"""
# what protoc would write, as far as LoadDensity needs it
STUBS = """
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
file = descriptor_pb2.FileDescriptorProto(name="bench.proto", package="bench", syntax="proto3")
file.message_type.add(name="Text").field.add(name="text", number=1, type=9, label=1)
Text = message_factory.GetMessageClass(descriptor_pool.Default().AddSerializedFile(file.SerializeToString()).message_types_by_name["Text"])
class BenchStub:
    def __init__(self, channel):
        for name in ("Fast", "Slow"):
            call = channel.unary_unary("/bench.Bench/" + name, Text.SerializeToString, Text.FromString)
            setattr(self, name, call)
"""


@dataclass(frozen=True)
class Subject:
    """One protocol: its server, a program that prints its port, and is `COUNTING` or not; the step; the plain client's `user`, and what
    it is called.

    All programs run in one folder, which holds `files`.
    """

    user: str
    server: str
    target: str
    step: dict[str, Any]
    plain: str
    plain_name: str
    peer: dict[str, Any]  # the step in LoadDensity's keys; the target comes under `peer_target`
    peer_target: str = "target"
    files: dict[str, str] = field(default_factory=dict)
    setup: str = GEVENT  # of the plain client
    users: int = USERS

    @property
    def counts(self) -> bool:
        """Whether the server says what it has answered."""
        return self.server.startswith(COUNTING)


def _grpc(method: str, users: int = USERS) -> Subject:
    return Subject(
        user="grpc_user",
        server=GRPC_SERVER,
        target="127.0.0.1:{port}",
        step={"proto": "bench.proto", "method": f"bench.Bench/{method}", "payload": {"text": "hello"}},
        plain=f"""
import grpc
def user():
    channel = grpc.insecure_channel(host + ":" + port, (("grpc.use_local_subchannel_pool", 1),))
    call, count = channel.unary_unary("/bench.Bench/{method}"), 0
    while time.monotonic() < end:
        call(b"\\x0a\\x05hello", timeout=10)
        count += 1
    return count
""",
        plain_name="grpcio in threads",
        peer={"stub_path": "stubs.BenchStub", "request_path": "stubs.Text", "method": method, "payload": {"text": "hello"}},
        files={"bench.proto": PROTO, "stubs.py": STUBS},
        setup=THREADS,
        users=users,
    )


SUBJECTS = {
    "websocket": Subject(
        user="websocket_user",
        server=COUNTING
        + """
import asyncio
from websockets.asyncio.server import serve
async def echo(connection):
    global answered
    async for message in connection:
        answered += 1
        await connection.send(message)
async def main():
    async with serve(echo, "127.0.0.1", 0, compression=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()
asyncio.run(main())
""",
        target="ws://127.0.0.1:{port}",
        step={"method": "sendrecv", "payload": '{"id": 1, "text": "hello"}', "assertions": [{"type": "contains", "value": "hello"}]},
        plain="""
import websocket
def user():
    connection, count = websocket.create_connection(f"ws://{host}:{port}/"), 0
    while time.monotonic() < end:
        connection.send('{"id": 1, "text": "hello"}')
        assert "hello" in connection.recv()
        count += 1
    return count
""",
        plain_name="websocket-client under gevent",
        peer={"method": "sendrecv", "payload": '{"id": 1, "text": "hello"}', "expect": "hello"},
        peer_target="request_url",
    ),
    "tcp": Subject(
        user="socket_user",
        server=ECHO % "tcp",
        target="127.0.0.1:{port}",
        step={"payload": "hello, hello", "expect_bytes": 12, "keep": True, "assertions": [{"type": "contains", "value": "hello"}]},
        plain="""
import socket
def user():
    connection, count = socket.create_connection((host, int(port))), 0
    while time.monotonic() < end:
        connection.sendall(b"hello, hello")
        assert b"hello" in connection.recv(12)
        count += 1
    return count
""",
        plain_name="socket under gevent",
        peer={"protocol": "tcp", "payload": "hello, hello", "expect_bytes": 12},
    ),
    "udp": Subject(
        user="socket_user",
        server=ECHO % "udp",
        target="127.0.0.1:{port}",
        step={"protocol": "udp", "payload": "hello, hello", "expect_bytes": 12, "keep": True},
        plain="""
import socket
def user():
    connection, count = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0
    connection.connect((host, int(port)))
    while time.monotonic() < end:
        connection.send(b"hello, hello")
        connection.recv(64)
        count += 1
    return count
""",
        plain_name="socket under gevent",
        peer={"protocol": "udp", "payload": "hello, hello", "expect_bytes": 12},
    ),
    "grpc": _grpc("Fast"),
    "grpc, calls of 200 ms": _grpc("Slow", users=10),
    "mqtt, QoS 1": Subject(
        user="mqtt_user",
        server=BROKER,
        target="127.0.0.1:{port}",
        step={"topic": "t", "payload": "hello", "qos": 1},
        plain="""
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
""",
        plain_name="paho-mqtt under gevent",
        peer={"topic": "t", "payload": "hello", "qos": 1},
        peer_target="broker",
    ),
}
