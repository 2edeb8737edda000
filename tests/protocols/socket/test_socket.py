# ruff: noqa: E501  # a row stays on one line
"""`socket_user` against real TCP and UDP servers: what they received, and how each step ended."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.load.build import build_plan
from loadflow.engine.plan.target import TargetRules
from loadflow.engine.protocols.socket.framing import Counted, Delimited, Framing, Prefixed
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.resolve.variables import Variables
from loadflow.errors import CommandError
from tests.load.harness import ENGINES, Outcomes, load
from tests.protocols.peers import Authority, Loop, running_loop

USER = "socket_user"


class Peers:
    """One port for each way a server can behave; `received` is what came, by the way's name, one entry a connection."""

    def __init__(self, loop: Loop, folder: Path) -> None:
        self.received: dict[str, list[bytes]] = {}
        self.tls = Authority(folder)
        self._loop = loop
        self._lost = 0
        self.ports = {name: loop.tcp(self._handler(name, getattr(self, f"_{name}"))) for name in WAYS}
        self.ports["tls"] = loop.tcp(self._handler("tls", self._echo), tls=self.tls.server())
        self.ports["mtls"] = loop.tcp(self._handler("mtls", self._echo), tls=self.tls.server(asks_for_client=True))
        self.ports["v6"] = loop.tcp(self._handler("v6", self._echo), host="::1")
        self.ports["udp"] = loop.udp(self._udp_echo)
        self.ports["udp v6"] = loop.udp(self._udp_echo, host="::1")
        self.ports["udp lossy"] = loop.udp(self._udp_lossy)
        self.ports["udp burst"] = loop.udp(lambda data: [b"one", b"two", b"three " + data])

    def at(self, name: str, host: str = "127.0.0.1") -> str:
        return f"{host}:{self.ports[name]}"

    def _handler(self, name: str, way: Any) -> Any:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            log = self.received.setdefault(name, [])
            log.append(b"")
            own = len(log) - 1

            async def read() -> bytes:
                data = await reader.read(65_536)
                log[own] += data
                return data

            await way(read, writer)

        return handle

    @staticmethod
    async def _echo(read: Any, writer: asyncio.StreamWriter) -> None:
        while data := await read():
            writer.write(data)
            await writer.drain()

    @staticmethod
    async def _dribble(read: Any, writer: asyncio.StreamWriter) -> None:
        """Byte by byte, and a tail that belongs to nobody."""
        while data := await read():
            for byte in data + b"tail":
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0)

    @staticmethod
    async def _short(read: Any, writer: asyncio.StreamWriter) -> None:
        await read()
        writer.write(b"half")

    @staticmethod
    async def _reset(read: Any, writer: asyncio.StreamWriter) -> None:
        await read()
        writer.transport.abort()

    @staticmethod
    async def _mute(read: Any, writer: asyncio.StreamWriter) -> None:
        """Half-open: it takes everything and never says a word."""
        while await read():
            pass

    @staticmethod
    async def _greets(read: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        while data := await read():
            writer.write(b"250 " + data)

    @staticmethod
    async def _once(read: Any, writer: asyncio.StreamWriter) -> None:
        """Answers, and hangs up behind the answer."""
        writer.write(await read())

    @staticmethod
    async def _endless(read: Any, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()

    def _udp_echo(self, data: bytes) -> list[bytes]:
        self.received.setdefault("udp", []).append(data)
        return [data]

    def _udp_lossy(self, data: bytes) -> list[bytes]:
        """Every second datagram is lost."""
        self._lost += 1
        return [data] if self._lost % 2 == 0 else []


WAYS = ("echo", "dribble", "short", "reset", "mute", "greets", "once", "endless")


@pytest.fixture
def peers(tmp_path: Path) -> Iterator[Peers]:
    with running_loop() as loop:
        yield Peers(loop, tmp_path)


def ends(outcomes: Outcomes) -> dict[str, tuple[Outcome, str]]:
    return {hit.name: (hit.outcome, hit.error) for hit in outcomes.hits}


JSON_ECHO = '{"id": 7, "name": "ann"}'
OK = Outcome.OK
# name, the way of the peer, the step, how it ends, what of the error's text
STEPS: list[tuple[str, str, dict[str, Any], Outcome, str]] = [
    ("text is echoed", "echo", {"payload": "hällo", "expect_bytes": 6}, OK, ""),
    ("bytes in hex", "echo", {"payload": "hex:00 ff 10", "expect_bytes": 3}, OK, ""),
    ("nothing is read where nothing is expected", "mute", {"payload": "into the void"}, OK, ""),
    ("a message in pieces", "dribble", {"payload": "0123456789", "expect_bytes": 10, "expect_substring": "456"}, OK, ""),
    ("a text is waited for", "dribble", {"payload": "wait for the end.", "expect_substring": "end."}, OK, ""),
    ("the text does not come", "echo", {"payload": "abc", "expect_substring": "xyz", "timeout": 0.2}, Outcome.TIMEOUT, "no 'xyz' came"),
    ("the text is not in the bytes", "echo", {"payload": "abc", "expect_bytes": 3, "expect_substring": "xyz"}, Outcome.ASSERTION, "expected 'xyz' in response"),
    ("the end comes early", "short", {"payload": "x", "expect_bytes": 10}, Outcome.CLOSED, "after 4 bytes"),
    ("the end comes before the text", "short", {"payload": "x", "expect_substring": "whole"}, Outcome.CLOSED, "after 4 bytes"),
    ("a reset", "reset", {"payload": "x", "expect_bytes": 1}, Outcome.CLOSED, ""),
    ("a peer that is half open", "mute", {"payload": "x", "expect_bytes": 1, "timeout": 0.2}, Outcome.TIMEOUT, "within 0.2 s; 0 bytes received"),
    ("too much", "endless", {"payload": "x", "expect_substring": "never"}, Outcome.TOO_LARGE, "max_body_bytes (100,000)"),
    ("a length that can't be", "greets", {"framing": {"length_bytes": 4}}, Outcome.TOO_LARGE, "max_body_bytes"),
    ("nobody listens", "", {"payload": "x"}, Outcome.CONNECT, "ConnectionRefusedError"),
    ("lines", "greets", {"framing": {"delimiter": "\r\n"}, "assertions": [{"type": "contains", "value": "220"}]}, OK, ""),
    ("a length before", "echo", {"payload": "abc", "framing": {"length_bytes": 2, "byte_order": "little"}}, OK, ""),
    ("json in the answer", "echo", {"payload": JSON_ECHO, "framing": {"delimiter": "hex:00"}, "assertions": [{"type": "json_path", "path": "id", "value": 7}], "extract": [{"var": "who", "path": "name"}]}, OK, ""),
    ("what was extracted", "echo", {"payload": "hi ${who}", "expect_bytes": 6, "assertions": [{"type": "contains", "value": "hi ann"}]}, OK, ""),
    ("a template that makes no hex", "echo", {"payload": "hex:${who}", "expect_bytes": 1}, Outcome.TEMPLATE, "make no message"),
    ("by IPv6", "v6", {"payload": "six", "expect_bytes": 3}, OK, ""),
    ("over TLS", "tls", {"payload": "secret", "expect_bytes": 6, "tls": True, "verify": "CA"}, OK, ""),
    ("a certificate that nobody trusts", "tls", {"payload": "secret", "expect_bytes": 6, "tls": True}, Outcome.TLS, "certificate"),
    ("a certificate that nobody asks about", "tls", {"payload": "public", "expect_bytes": 6, "tls": True, "verify": False}, OK, ""),
    ("a certificate of the client", "mtls", {"payload": "mutual", "expect_bytes": 6, "tls": True, "verify": "CA", "cert": "CLIENT"}, OK, ""),
    ("no TLS where TLS is asked for", "echo", {"payload": "x", "tls": True}, Outcome.TLS, ""),
    ("a datagram", "udp", {"protocol": "UDP", "payload": "ping", "expect_bytes": 100}, OK, ""),
    ("an empty datagram", "udp", {"protocol": "udp", "payload": ""}, OK, ""),
    ("a datagram by IPv6", "udp v6", {"protocol": "udp", "payload": "ping6", "expect_bytes": 5}, OK, ""),
    ("the right one of several datagrams", "udp burst", {"protocol": "udp", "payload": "!", "expect_substring": "three !"}, OK, ""),
    ("a datagram is lost", "udp lossy", {"protocol": "udp", "payload": "first", "expect_bytes": 1, "timeout": 0.2}, Outcome.TIMEOUT, "0 bytes received"),
    ("the next one comes through", "udp lossy", {"protocol": "udp", "payload": "second", "expect_bytes": 1}, OK, ""),
]  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_each_step_ends_as_it_should(peers: Peers, engine: str, tmp_path: Path, unused_port: int) -> None:
    """Each row of the table, in one pass of one user; then what the peers received."""
    steps = []
    for name, way, step, _, _ in STEPS:
        files = {"CA": peers.tls.ca, "CLIENT": peers.tls.client}
        step = {key: files.get(value, value) if isinstance(value, str) else value for key, value in step.items()}
        host = "localhost" if way.endswith("tls") else "[::1]" if way.endswith("v6") else "127.0.0.1"
        steps.append({"name": name, "target": peers.at(way, host) if way else f"127.0.0.1:{unused_port}", **step})
    found = ends(load(tmp_path, steps, user=USER, engine=engine, max_body_bytes=100_000))
    for name, _, _, outcome, text in STEPS:
        assert found[name][0] is outcome, (name, found[name])
        assert text in found[name][1], (name, found[name])
    assert peers.received["v6"] == [b"six"]
    assert peers.received["mute"][0] == b"into the void"
    assert [*peers.received["udp"]] == [b"ping", b"", b"ping6"]
    assert {"hällo".encode(), b"\x00\xff\x10", b"\x03\x00abc", JSON_ECHO.encode() + b"\x00", b"hi ann"} <= set(peers.received["echo"])
    assert peers.received["tls"] == [b"secret", b"public"]
    assert peers.received["mtls"] == [b"mutual"]


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.parametrize("engine", ENGINES)
def test_a_kept_connection_carries_all_steps_of_its_user(peers: Peers, engine: str, tmp_path: Path) -> None:
    """The greeting is the first message; two users have two connections; each step's answer is its own."""
    line = {"target": peers.at("greets"), "keep": True, "framing": {"delimiter": "\r\n"}}
    steps = [
        {"name": "greeting", "target": peers.at("greets"), "keep": True, "expect_bytes": 11},
        {"name": "one", **line, "payload": "HELO a", "assertions": [{"type": "contains", "value": "250 HELO a"}]},
        {"name": "two", **line, "payload": "QUIT\r\n", "assertions": [{"type": "contains", "value": "250 QUIT"}]},
    ]
    outcomes = load(tmp_path, steps, user=USER, engine=engine, user_count=2)
    assert {hit.outcome for hit in outcomes.hits} == {OK}
    assert peers.received["greets"] == [b"HELO a\r\nQUIT\r\n"] * 2


@pytest.mark.parametrize("engine", ENGINES)
def test_by_default_each_step_has_a_connection_of_its_own(peers: Peers, engine: str, tmp_path: Path) -> None:
    load(tmp_path, [{"payload": "x", "expect_bytes": 1}], user=USER, engine=engine, iterations=3, host=peers.at("echo"))
    assert peers.received["echo"] == [b"x"] * 3


@pytest.mark.parametrize("engine", ENGINES)
def test_a_kept_connection_that_the_peer_closed_fails_one_step_and_the_next_connects_anew(
    peers: Peers, engine: str, tmp_path: Path
) -> None:
    step = {"target": peers.at("once"), "keep": True, "payload": "x", "expect_bytes": 1, "think_time": 0.1}
    outcomes = load(tmp_path, [step], user=USER, engine=engine, iterations=4)
    assert [hit.outcome for hit in outcomes.hits] == [OK, Outcome.CLOSED, OK, Outcome.CLOSED]
    assert peers.received["once"] == [b"x", b"x"]
    assert outcomes.hits[1].name == f"tcp:{peers.at('once')}"


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("a target without port", {"target": "127.0.0.1"}, "is not a host:port"),
    ("a port that is none", {"target": "a:70000"}, "is not a host:port"),
    ("hex that is none", {"payload": "hex:0g"}, "can't be sent"),
    ("a status of a stream", {"expect_bytes": 1, "assertions": [{"type": "status_code", "value": 200}]}, "a message has no status"),
    ("a header of a stream", {"expect_bytes": 1, "extract": [{"var": "x", "from": "header", "name": "x"}]}, "a message has no header"),
    ("assertions on nothing", {"assertions": [{"type": "contains", "value": "x"}]}, "nothing is read"),
    ("two targets", {"target": "a:1", "host": "b:1"}, "says the same as"),
    ("two ends", {"framing": {"delimiter": "\n"}, "expect_bytes": 4}, "can't be combined with framing"),
    ("no end", {"framing": {}}, "exactly one of delimiter and length_bytes"),
    ("a framed datagram", {"protocol": "udp", "framing": {"delimiter": "\n"}}, "no meaning for udp"),
    ("TLS for datagrams", {"protocol": "udp", "tls": True}, "no meaning for udp"),
    ("a certificate without TLS", {"verify": False}, "without tls"),
    ("a CA that is not there", {"tls": True, "verify": "/nowhere/ca.pem"}, "/nowhere/ca.pem is not there"),
    ("too long a datagram", {"protocol": "udp", "payload": "x" * 66_000}, "do not fit into one datagram"),
    ("an unknown key", {"expect_byte": 4}, "expect_bytes"),
    ("an unknown protocol", {"protocol": "sctp"}, "is not a socket protocol"),
]


@pytest.mark.parametrize(("step", "text"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_a_mistake_is_told_before_anything_is_sent(step: dict[str, Any], text: str) -> None:
    with pytest.raises(CommandError, match=re.escape(text)):
        build_plan({"user_detail_dict": {"user": USER}, "tasks": [step]}, Variables(), {}, TargetRules(), str)


FRAMES: list[tuple[Framing, bytes, bytes]] = [
    (Delimited(b"\r\n"), b"one\r\n", b"one"),
    (Delimited(b"\r\n"), b"\r\n", b""),
    (Prefixed(2, "big"), b"\x00\x03abc", b"abc"),
    (Prefixed(1, "little"), b"\x00", b""),
    (Prefixed(4, "little"), b"\x02\x00\x00\x00ab", b"ab"),
    (Counted(3), b"abc", b"abc"),
]


@pytest.mark.parametrize(("framing", "wire", "message"), FRAMES)
@pytest.mark.parametrize("tail", [b"", b"\x00next\r\n"])
def test_a_frame_is_found_whole_byte_by_byte_and_with_a_tail(framing: Framing, wire: bytes, message: bytes, tail: bytes) -> None:
    assert framing.wrap(message) == wire
    for length in range(len(wire)):
        assert framing.cut(bytearray(wire[:length]), max(0, length - 1)) is None
    start, end, after = framing.cut(bytearray(wire + tail), len(wire) - 1) or (0, 0, 0)
    assert (wire + tail)[start:end] == message
    assert (wire + tail)[after:] == tail


@pytest.mark.parametrize("engine", ENGINES)
def test_an_empty_datagram_is_an_answer(engine: str, tmp_path: Path) -> None:
    """By a socket of its own: asyncio's servers send no empty ones."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def answer() -> None:
            for _ in range(2):
                server.sendto(b"", server.recvfrom(100)[1])

        threading.Thread(target=answer, daemon=True).start()
        step = {"protocol": "udp", "target": f"127.0.0.1:{server.getsockname()[1]}", "payload": "", "expect_bytes": 4, "keep": True}
        done = load(tmp_path, [step], user=USER, engine=engine, iterations=2)
        assert [(hit.outcome, hit.error) for hit in done.hits] == [(OK, "")] * 2
