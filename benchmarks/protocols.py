"""Hits per second of each protocol beside its plain client library in a loop: the same peer, the same exchange.

    python -m benchmarks.protocols --protocol websocket [--rounds 3] [--seconds 4] [--write]

50 users on core 0 against a small server on core 1. The plain client has no more than its library needs: no templates, no
assertions, no records. LoadDensity does the same steps; it opens a TCP or UDP socket for each. All count the exchanges that came back;
ours also checks and records every one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.http_users import load_density
from benchmarks.results import publish, table

USERS = 50

LOADFLOW = """
import json, sys
from loadflow.engine.load.start import start_test
from loadflow.engine.session import Session, use_session
user, step, target, seconds, users, folder = sys.argv[1:]
with use_session(Session(runs_dir=folder)):
    often = {"user_count": int(users), "spawn_rate": 1000, "test_time": float(seconds)}
    summary = start_test({"user": user}, **often, host=target, tasks=[json.loads(step)])
totals = summary["totals"]
assert totals["failures"] == 0, totals
print(totals["requests"] / float(seconds))
"""
# its users wait 0.1 to 0.2 s after each pass, so a pass is made long; what is in its records is what it counts
PEER = """
import json, sys
from je_load_density import start_test
from je_load_density.utils.test_record.test_record_class import test_record_instance
user, step, target, seconds, users = sys.argv[1:]
task = json.loads(step)
task["request_url" if user == "websocket_user" else "target"] = target
start_test({"user": user}, user_count=int(users), spawn_rate=1000, test_time=float(seconds), tasks=[task] * 500)
failed = len(test_record_instance.error_record_list)
print(-1 if failed else len(test_record_instance.test_record_list) / float(seconds))
"""
# `user` makes exchanges until the end and returns how many
PLAIN = """
from gevent import monkey; monkey.patch_all()
import sys, time, gevent
target, seconds, users = sys.argv[1:]
host, port = target.rpartition("/")[2].rsplit(":", 1)
end = time.monotonic() + float(seconds)
%s
jobs = [gevent.spawn(user) for _ in range(int(users))]
gevent.joinall(jobs)
print(sum(job.value for job in jobs) / float(seconds))
"""
ECHO = """
import asyncio
class Echo(asyncio.Protocol, asyncio.DatagramProtocol):
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data): self.transport.write(data)
    def datagram_received(self, data, address): self.transport.sendto(data, address)
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


@dataclass(frozen=True)
class Subject:
    """One protocol: its server, a program that prints its port; the step; the plain client's `user`, and what it is called."""

    user: str
    server: str
    target: str
    step: dict[str, Any]
    plain: str
    plain_name: str
    peer: dict[str, Any]  # the step in LoadDensity's keys


@dataclass(frozen=True)
class Row:
    """Exchanges per second of one round."""

    loadflow: float
    plain: float
    peer: float | None  # None: not here, or with failures


SUBJECTS = {
    "websocket": Subject(
        user="websocket_user",
        server="""
import asyncio
from websockets.asyncio.server import serve
async def echo(connection):
    async for message in connection:
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
}


def main() -> None:
    options = _options()
    rows = []
    for name in options.protocol or SUBJECTS:
        subject = SUBJECTS[name]
        found = [measure(subject, options.seconds) for _ in range(options.rounds)]
        own, plain = ([getattr(row, key) for row in found] for key in ("loadflow", "plain"))
        ratio = statistics.median(row.loadflow / row.plain for row in found)
        peers = [row.peer for row in found if row.peer is not None]
        ratios = [f"{ratio:.2f}", f"{statistics.median(own) / statistics.median(peers):.2f}" if peers else "–"]
        rows.append([name, _shown(own), subject.plain_name, _shown(plain), _shown(peers) if peers else "does not work", *ratios])
    command = f"python -m benchmarks.protocols {' '.join(f'--protocol {name}' for name in options.protocol or ())}".rstrip()
    text = table(
        ["protocol", "loadflow, hits/s", "plain client", "hits/s", "LoadDensity, hits/s", "ratio to plain", "ratio to LoadDensity"], rows
    )
    publish(f"Protocols: {', '.join(options.protocol or SUBJECTS)}", command, text, write=options.write)


def measure(subject: Subject, seconds: float) -> Row:
    """One round: both tools in turn, against one server."""
    with _server(subject.server) as port, tempfile.TemporaryDirectory() as folder:
        target = subject.target.format(port=port)
        own = _rate(LOADFLOW, subject.user, json.dumps(subject.step), target, str(seconds), str(USERS), folder)
        plain = _rate(PLAIN % subject.plain, target, str(seconds), str(USERS))
        python = load_density()
        told = _rate(PEER, subject.user, json.dumps(subject.peer), target, str(seconds), str(USERS), python=str(python)) if python else -1
    return Row(own, plain, told if told > 0 else None)


def _rate(code: str, *arguments: str, python: str = sys.executable) -> float:
    command = ["taskset", "-c", "0", python, "-c", code, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    return float(done.stdout.split()[-1])


@contextlib.contextmanager
def _server(code: str) -> Iterator[int]:
    command = ["taskset", "-c", "1", sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


def _shown(rates: list[float]) -> str:
    return f"{statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--protocol", action="append", choices=sorted(SUBJECTS), help="may be given several times; default: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each run")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/RESULTS.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
