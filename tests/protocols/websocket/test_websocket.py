# ruff: noqa: E501  # a row stays on one line
"""`websocket_user` against a real server of websockets, and against raw ones that break the rules."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import socket
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from loadflow.engine.load.build import build_plan
from loadflow.engine.plan.target import TargetRules
from loadflow.engine.records.outcome import HitFlag, Outcome
from loadflow.engine.resolve.variables import Variables
from loadflow.errors import CommandError
from tests.load.harness import ENGINES, Outcomes, load
from tests.protocols.peers import Authority, Loop, running_loop

USER = "websocket_user"
OK = Outcome.OK


class Peer:
    """`received`: (path, message) in the order of arrival; `opened`: the path and header fields of each handshake; `closed`: codes."""

    def __init__(self, loop: Loop, folder: Path) -> None:
        self.received: list[tuple[str, str | bytes]] = []
        self.opened: list[tuple[str, dict[str, str]]] = []
        self.closed: list[tuple[str, int | None]] = []
        self.tls = Authority(folder)
        self._loop = loop
        self.port = self._serve()
        self.tls_port = self._serve(ssl=self.tls.server())
        self.raw = {name: loop.tcp(getattr(self, f"_{name}")) for name in ("mute", "garbage", "other", "flood", "deaf")}

    def _serve(self, **options: Any) -> int:
        async def start() -> Any:
            return await serve(self._talk, "127.0.0.1", 0, process_request=self._admit, select_subprotocol=self._choose, **options)

        server = self._loop.run(start())
        self._loop.at_end(server.close)
        return int(server.sockets[0].getsockname()[1])

    def url(self, path: str) -> str:
        return f"ws://127.0.0.1:{self.raw[path]}/" if path in self.raw else f"ws://127.0.0.1:{self.port}/{path}"

    def messages(self, path: str) -> list[str | bytes]:
        return [message for at, message in self.received if at == f"/{path}"]

    @staticmethod
    def _admit(connection: ServerConnection, request: Any) -> Any:
        return connection.respond(HTTPStatus.FORBIDDEN, "no entry\n") if request.path == "/forbidden" else None

    @staticmethod
    def _choose(connection: ServerConnection, offered: Any) -> Any:
        return "v2" if "v2" in offered else None

    async def _talk(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        path = connection.request.path
        self.opened.append((path, {name.lower(): value for name, value in connection.request.headers.raw_items()}))
        way = getattr(self, f"_talk_{path.strip('/').split('?')[0]}", self._talk_echo)
        try:
            await way(connection, path)
            await connection.wait_closed()
        except ConnectionClosed:
            pass
        self.closed.append((path, connection.close_code))

    async def _next(self, connection: ServerConnection, path: str) -> str | bytes:
        message = await connection.recv()
        self.received.append((path, message))
        return message

    async def _talk_echo(self, connection: ServerConnection, path: str) -> None:
        while True:
            await connection.send(await self._next(connection, path))

    async def _talk_push(self, connection: ServerConnection, path: str) -> None:
        """Three messages by itself, then the echo: an old message is never taken for the answer."""
        for text in ("first", "second", "third"):
            await connection.send(text)
        await self._talk_echo(connection, path)

    async def _talk_pieces(self, connection: ServerConnection, path: str) -> None:
        await self._next(connection, path)
        await connection.send(iter(["{", '"id"', ": 7}"]))
        await connection.send(b"\x00\xff")

    async def _talk_bye(self, connection: ServerConnection, path: str) -> None:
        await connection.send(await self._next(connection, path))
        await connection.close(1000, "done")

    async def _talk_crash(self, connection: ServerConnection, path: str) -> None:
        await connection.send(await self._next(connection, path))
        await connection.close(1011, "boom")

    async def _talk_abort(self, connection: ServerConnection, path: str) -> None:
        await self._next(connection, path)
        connection.transport.abort()

    async def _talk_latin(self, connection: ServerConnection, path: str) -> None:
        await self._next(connection, path)
        connection.transport.write(b"\x81\x01\xff")

    async def _talk_huge(self, connection: ServerConnection, path: str) -> None:
        await self._next(connection, path)
        await connection.send("x" * 200_000)

    async def _talk_silent(self, connection: ServerConnection, path: str) -> None:
        while True:
            await self._next(connection, path)

    async def _talk_pings(self, connection: ServerConnection, path: str) -> None:
        await (await connection.ping("still there?"))
        self.received.append((path, "pong"))

    async def _talk_later(self, connection: ServerConnection, path: str) -> None:
        """Answers come by themselves, in the other order, with noise between; some are lost."""
        held: list[Any] = []
        while True:
            held.append(json.loads(await self._next(connection, path))["id"])
            await connection.send('{"news": "noise"}')
            if len(held) == 3:
                for one in reversed(held):
                    await connection.send("no JSON")
                    if not str(one).startswith("lost"):
                        await connection.send(json.dumps({"re": one, "ok": True}))
                held.clear()

    # raw ones

    @staticmethod
    async def _shake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, more: str = "") -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = re.search(r"(?im)^sec-websocket-key: *(\S+)", head)
        assert key is not None
        accept = base64.b64encode(hashlib.sha1(f"{key[1]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept}"]
        writer.write(("\r\n".join(lines) + f"\r\n{more}\r\n").encode())

    @staticmethod
    async def _mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Half-open: it takes the handshake and never answers."""
        while await reader.read(65_536):
            pass

    async def _garbage(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._shake(reader, writer)
        writer.write(b"\xff\xff\xff\xff garbage")
        await self._mute(reader, writer)

    async def _other(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Chooses a subprotocol that nobody offered."""
        await self._shake(reader, writer, "Sec-WebSocket-Protocol: other\r\n")
        await self._mute(reader, writer)

    async def _flood(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """More messages than anybody takes, then the pong."""
        await self._shake(reader, writer)
        await reader.readexactly(6)  # an empty ping, masked
        writer.write(b"\x81\x02hi" * 1_500 + b"\x8a\x00")
        await self._mute(reader, writer)

    async def _deaf(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Shakes hands and reads nothing any more."""
        await self._shake(reader, writer)
        await asyncio.Event().wait()


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Peer]:
    with running_loop() as loop:
        yield Peer(loop, tmp_path)


def ends(outcomes: Outcomes) -> dict[str, tuple[Outcome, str, int]]:
    return {hit.name: (hit.outcome, hit.error, hit.status) for hit in outcomes.hits}


def equals(path: str, value: Any) -> list[dict[str, Any]]:
    return [{"type": "json_path", "path": path, "value": value}]


@pytest.mark.parametrize("engine", ENGINES)
def test_text_bytes_templates_assertions_and_extracts(peer: Peer, engine: str, tmp_path: Path) -> None:
    """One connection carries all steps; what the server received is what the script says."""
    steps = [
        {"name": "connect", "method": "CONNECT", "request_url": "/echo?room=1", "headers": {"X-Room": "one"}, "subprotocols": ["v1", "v2"], "compression": True},
        {"name": "text", "method": "sendrecv", "payload": "hällo", "expect": "äll"},
        {"name": "json", "method": "sendrecv", "payload": {"id": "${var.number}", "list": [1, "${word}"]}, "assertions": equals("list.1", "two"), "extract": [{"var": "got", "path": "id"}]},
        {"name": "extracted", "method": "sendrecv", "payload": "got ${got}", "assertions": [{"type": "contains", "value": "got 5"}, {"type": "not_contains", "value": "6"}, {"type": "response_time", "max_ms": 30_000}]},
        {"name": "binary", "method": "sendrecv", "payload_base64": "AP8="},
        {"name": "text as bytes", "method": "sendrecv", "payload": "x", "binary": True, "expect": "x"},
        {"name": "send", "payload": "alone"},
        {"name": "recv", "method": "recv", "expect": "alone"},
        {"name": "ping", "method": "ping", "payload": "p"},
        {"name": "close", "method": "close"},
        {"name": "close again", "method": "close"},
    ]  # fmt: skip
    outcomes = load(tmp_path, steps, user=USER, engine=engine, host=f"ws://127.0.0.1:{peer.port}", variables={"number": 5, "word": "two"})
    assert {name: end for name, end in ends(outcomes).items() if end[0] is not OK} == {}
    assert [hit.name for hit in outcomes.hits] == [step["name"] for step in steps]
    expected = ["hällo", '{"id":5,"list":[1,"two"]}', "got 5", b"\x00\xff", b"x", "alone"]
    assert [message for _, message in peer.received] == expected
    [(path, headers)] = peer.opened
    assert (path, headers["x-room"], headers["sec-websocket-protocol"], headers["user-agent"]) == (
        "/echo?room=1",
        "one",
        "v1, v2",
        "loadflow",
    )
    assert "permessage-deflate" in headers["sec-websocket-extensions"]
    assert peer.closed == [("/echo?room=1", 1000)]
    assert [(int(row["sent_bytes"]), int(row["received_bytes"])) for row in outcomes.rows][1:3] == [(6, 6), (25, 25)]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_row_for_each_connection(peer: Peer, engine: str, tmp_path: Path) -> None:
    """URL, headers and subprotocols, in which some servers take a token, are of the row."""
    rows = tmp_path / "rows.csv"
    rows.write_text("room,token\na,one\nb,two\nc,no token\n")
    offered = ["v2", "bearer.${csv.rows.token}"]
    steps = [
        {"name": "connect", "method": "connect", "request_url": "/echo?room=${csv.rows.room}", "headers": {"X-Room": "${csv.rows.room}"}, "subprotocols": offered},
        {"name": "close", "method": "close"},
    ]  # fmt: skip
    sources = [{"name": "rows", "file_path": str(rows)}]
    outcomes = load(tmp_path, steps, user=USER, engine=engine, host=f"ws://127.0.0.1:{peer.port}", csv_sources=sources, iterations=3)
    seen = [(path, headers["x-room"], headers["sec-websocket-protocol"]) for path, headers in peer.opened]
    assert seen == [("/echo?room=a", "a", "v2, bearer.one"), ("/echo?room=b", "b", "v2, bearer.two")]
    failed = [(hit.name, hit.outcome, hit.error) for hit in outcomes.hits if hit.outcome is not OK]
    assert failed == [("connect", Outcome.TEMPLATE, "'bearer.***' can't be the name of a subprotocol")]  # a secret, by its column


# name, path, method, more keys, outcome, text, status
FAULTS: list[tuple[str, str, str, dict[str, Any], Outcome, str]] = [
    ("expected text", "echo", "sendrecv", {"payload": "abc", "expect": "xyz"}, Outcome.ASSERTION, "expected 'xyz' in response"),
    ("no message", "silent", "recv", {"timeout": 0.2}, Outcome.TIMEOUT, "no message came within 0.2 s"),
    ("no answer", "silent", "sendrecv", {"payload": "x", "timeout": 0.2}, Outcome.TIMEOUT, "no message came within 0.2 s"),
    ("forbidden", "forbidden", "connect", {}, Outcome.STATUS, "status 403"),
    ("half-open", "mute", "connect", {"timeout": 0.2}, Outcome.TIMEOUT, "not connected within 0.2 s"),
    ("closed in the middle", "abort", "sendrecv", {"payload": "x"}, Outcome.CLOSED, ""),
    ("garbage", "garbage", "recv", {}, Outcome.PROTOCOL, "no valid frame"),
    ("no UTF-8", "latin", "sendrecv", {"payload": "x"}, Outcome.PROTOCOL, "not UTF-8"),
    ("too large", "huge", "sendrecv", {"payload": "x"}, Outcome.TOO_LARGE, "max_body_bytes (100,000)"),
    ("no subprotocol", "echo?2", "connect", {"subprotocols": ["v1"]}, Outcome.PROTOCOL, "none of the subprotocols v1"),
    ("another subprotocol", "other", "connect", {"subprotocols": ["v1"]}, Outcome.PROTOCOL, "unsupported subprotocol: other"),
    ("no pong", "deaf", "ping", {"timeout": 0.2}, Outcome.TIMEOUT, "no pong came"),
    ("deaf again", "deaf", "connect", {}, OK, ""),
    ("no goodbye", "deaf", "close", {"timeout": 0.2}, Outcome.TIMEOUT, "the peer did not close within 0.2 s"),
    ("pieces", "pieces", "sendrecv", {"payload": "x", "assertions": equals("id", 7)}, OK, ""),
    ("an answer that is not JSON", "echo", "sendrecv", {"payload": "{", "extract": [{"var": "x", "path": "id"}]}, Outcome.EXTRACT, "is not JSON"),
    ("a server error", "crash", "sendrecv", {"payload": "x", "expect": "x"}, OK, ""),
    ("after the server error", "crash", "recv", {}, Outcome.CLOSED, "code 1011 boom"),
    ("anew after the error", "crash", "sendrecv", {"payload": "y", "expect": "y"}, OK, ""),
    ("the second server error", "crash", "close", {}, Outcome.CLOSED, "code 1011 boom"),
    ("a certificate that nobody trusts", "TLS", "connect", {}, Outcome.TLS, "certificate"),
    ("a trusted certificate", "TLS", "sendrecv", {"payload": "x", "verify": "CA"}, OK, ""),
    ("nobody listens", "NOBODY", "connect", {}, Outcome.CONNECT, "ConnectionRefusedError"),
]  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_each_fault_has_its_kind(peer: Peer, engine: str, tmp_path: Path, unused_port: int) -> None:
    """All rows in one pass; each step on a path of its own, so that a fault is of its own step."""
    other = {"TLS": f"wss://localhost:{peer.tls_port}/tls", "NOBODY": f"ws://127.0.0.1:{unused_port}/"}
    steps = [
        {
            "name": name,
            "method": method,
            "request_url": other.get(path) or peer.url(path),
            **more,
            **({"verify": peer.tls.ca} if "verify" in more else {}),
        }
        for name, path, method, more, _, _ in FAULTS
    ]
    found = ends(load(tmp_path, steps, user=USER, engine=engine, max_body_bytes=100_000))
    for name, _, _, _, outcome, text in FAULTS:
        assert found[name][0] is outcome, (name, found[name])
        assert text in found[name][1], (name, found[name])
    assert found["forbidden"][2] == 403
    assert peer.messages("crash") == ["x", "y"]


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.parametrize("engine", ENGINES)
def test_the_step_that_finds_the_connection_closed_fails_and_the_next_one_connects_anew(peer: Peer, engine: str, tmp_path: Path) -> None:
    step = {"method": "sendrecv", "request_url": peer.url("bye"), "payload": "x", "headers": {"X-Token": "t1"}, "think_time": 0.2}
    outcomes = load(tmp_path, [step], user=USER, engine=engine, iterations=4)
    assert [hit.outcome for hit in outcomes.hits] == [OK, Outcome.CLOSED, OK, Outcome.CLOSED]
    assert "the peer closed with code 1000 done" in outcomes.hits[1].error
    assert [headers["x-token"] for _, headers in peer.opened] == ["t1", "t1"]
    assert len(peer.messages("bye")) == 2


@pytest.mark.parametrize("engine", ENGINES)
def test_connect_after_a_normal_close_just_connects(peer: Peer, engine: str, tmp_path: Path) -> None:
    url = peer.url("bye")
    steps = [
        {"name": "connect", "method": "connect", "request_url": url, "headers": {"X-Token": "t1"}},
        {"name": "ask", "method": "sendrecv", "request_url": url, "payload": "x", "think_time": 0.2},
    ]
    outcomes = load(tmp_path, steps, user=USER, engine=engine, iterations=3)
    assert {hit.outcome for hit in outcomes.hits} == {OK}
    assert [headers["x-token"] for _, headers in peer.opened] == ["t1"] * 3


@pytest.mark.parametrize("engine", ENGINES)
def test_an_old_message_is_not_taken_for_an_answer(peer: Peer, engine: str, tmp_path: Path) -> None:
    steps = [
        {"name": "one", "method": "recv", "request_url": peer.url("push"), "expect": "first"},
        {"name": "asked", "method": "sendrecv", "payload": "question", "expect": "question"},
        {"name": "two", "method": "recv", "expect": "second"},
        {"name": "three", "method": "recv", "expect": "third"},
    ]
    steps.insert(1, {"name": "all are here", "method": "ping"})
    assert {name: end for name, end in ends(load(tmp_path, steps, user=USER, engine=engine)).items() if end[0] is not OK} == {}


@pytest.mark.parametrize("engine", ENGINES)
def test_pings_are_answered_while_the_user_thinks(peer: Peer, engine: str, tmp_path: Path) -> None:
    load(tmp_path, [{"method": "connect", "request_url": peer.url("pings"), "think_time": 0.5}], user=USER, engine=engine)
    assert peer.messages("pings") == ["pong"]


@pytest.mark.parametrize("engine", ENGINES)
def test_messages_that_nobody_takes_are_bounded_and_told(peer: Peer, engine: str, tmp_path: Path) -> None:
    steps = [
        {"name": "all are here", "method": "ping", "request_url": peer.url("flood")},
        {"name": "lost", "method": "recv"},
        {"name": "the rest", "method": "recv", "expect": "hi"},
    ]
    found = ends(load(tmp_path, steps, user=USER, engine=engine))
    assert [end[0] for end in found.values()] == [OK, Outcome.TOO_LARGE, OK]
    assert "500 messages dropped" in found["lost"][1]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_peer_that_does_not_read_makes_sending_time_out(peer: Peer, engine: str, tmp_path: Path) -> None:
    steps = [{"name": "send", "request_url": peer.url("deaf"), "payload": "x" * 300_000, "timeout": 0.3}]
    hits = load(tmp_path, steps, user=USER, engine=engine, iterations=60).hits
    assert Outcome.TIMEOUT in {hit.outcome for hit in hits}
    assert {hit.error for hit in hits if hit.outcome is not OK} == {"not sent within 0.3 s"}


@pytest.mark.parametrize("engine", ENGINES)
def test_answers_that_come_by_themselves_are_found_by_their_key(peer: Peer, engine: str, tmp_path: Path) -> None:
    """Two users, three messages each: every answer is a hit of its own, also in the drain; the lost one fails after its timeout."""
    steps = [
        {"name": f"order {number}", "request_url": peer.url("later"), "payload": {"id": key}, "correlate": {"path": "id", "reply_path": "re", "timeout": 2}}
        for number, key in enumerate(("${uuid()}", "${uuid()}", "lost ${uuid()}"))
    ]  # fmt: skip
    outcomes = load(tmp_path, steps, user=USER, engine=engine, user_count=2)
    counts = outcomes.counts()
    assert counts == {f"order {number}{reply}": 2 for number in range(3) for reply in ("", " reply")}
    failed = [hit for hit in outcomes.hits if hit.outcome is not OK]
    assert {(hit.name, hit.outcome, hit.error) for hit in failed} == {("order 2 reply", Outcome.TIMEOUT, "no answer within 2 s")}
    assert all(hit.flags & HitFlag.DRAINED for hit in failed)
    assert len(peer.messages("later")) == 6


@pytest.mark.parametrize("engine", ENGINES)
def test_an_answer_that_the_closed_connection_can_not_bring_any_more_fails_at_once(peer: Peer, engine: str, tmp_path: Path) -> None:
    steps = [
        {
            "name": "ask",
            "request_url": peer.url("silent"),
            "payload": {"id": 1},
            "correlate": {"path": "id", "timeout": 60, "name": "the answer"},
        },
        {"name": "twice", "payload": {"id": 1}, "correlate": {"path": "id"}},
        {"name": "close", "method": "close"},
    ]
    found = ends(load(tmp_path, steps, user=USER, engine=engine))
    assert found["twice"][0] is Outcome.TEMPLATE
    assert "'1' is still waited for" in found["twice"][1]
    assert found["the answer"][0] is Outcome.CLOSED


@pytest.mark.parametrize("engine", ENGINES)
def test_a_host_that_is_not_allowed_is_not_even_looked_up(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the host is known per hit only, for both users."""
    monkeypatch.setenv("LOADFLOW_ALLOWED_HOSTS", "")
    socket_step = {"name": "one", "protocol": "udp", "target": "nobody${randint(1, 9)}.invalid:9", "payload": "x"}
    for user, step in ((USER, {"name": "one", "request_url": "ws://nobody${randint(1, 9)}.invalid/"}), ("socket_user", socket_step)):
        assert ends(load(tmp_path / user, [step], user=user, engine=engine))["one"][0] is Outcome.FORBIDDEN


@pytest.mark.parametrize("engine", ENGINES)
def test_steps_without_a_url_use_the_open_connection_whatever_headers_they_have(peer: Peer, engine: str, tmp_path: Path) -> None:
    """A target's own header fields stand in every step."""
    steps = [
        {"name": "connect", "method": "connect", "request_url": "/echo", "headers": {"X-From": "connect"}},
        {"name": "ask", "method": "sendrecv", "payload": "x", "headers": {"X-From": "ask"}},
    ]
    found = ends(load(tmp_path, steps, user=USER, engine=engine, host=f"ws://127.0.0.1:{peer.port}"))
    assert {end[0] for end in found.values()} == {OK}
    assert [(path, headers["x-from"]) for path, headers in peer.opened] == [("/echo", "connect")]


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("a URL of another kind", {"request_url": "http://127.0.0.1/"}, "is not a ws or wss URL"),
    ("a relative URL without a host", {"request_url": "/chat"}, "is relative, and there is no host"),
    ("no URL at all", {}, "no step says where to connect to"),
    ("a status of a message", {"method": "recv", "assertions": [{"type": "status_code", "value": 200}]}, "a message has no status"),
    ("a header of a message", {"method": "recv", "extract": [{"var": "x", "from": "header", "name": "x"}]}, "a message has no header"),
    ("a message of send", {"assertions": [{"type": "contains", "value": "x"}]}, "send receives none"),
    ("expect of connect", {"method": "connect", "expect": "x"}, "connect receives none"),
    ("payload of recv", {"method": "recv", "payload": "x"}, "which sends no message"),
    ("correlate of sendrecv", {"method": "sendrecv", "correlate": {"path": "id"}}, "has no meaning for sendrecv"),
    ("nothing to correlate", {"payload": {"a": 1}, "correlate": {"path": "id"}, "request_url": "ws://127.0.0.1/"}, "nothing at correlate path id"),
    ("a header of the handshake", {"headers": {"Sec-WebSocket-Key": "x"}, "request_url": "ws://127.0.0.1/"}, "is the handshake's own"),
    ("a line break in a header", {"headers": {"X": "a\r\nb: c"}, "request_url": "ws://127.0.0.1/"}, "line break"),
    ("two payloads", {"payload": "x", "payload_base64": "eA=="}, "can't be combined with"),
    ("an unknown method", {"method": "recieve"}, "is not a WebSocket method"),
    ("a CA that is not there", {"verify": "/nowhere.pem", "request_url": "wss://127.0.0.1/"}, "/nowhere.pem is not there"),
]  # fmt: skip


@pytest.mark.parametrize(("step", "text"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_a_mistake_is_told_before_anything_is_sent(step: dict[str, Any], text: str) -> None:
    with pytest.raises(CommandError, match=re.escape(text)):
        build_plan({"user_detail_dict": {"user": USER}, "tasks": [step]}, Variables(), {}, TargetRules(), str)


@pytest.mark.parametrize("engine", ENGINES)
def test_how_another_connection_ended_says_nothing_of_a_new_one(peer: Peer, engine: str, tmp_path: Path) -> None:
    """A step with another URL closes the old connection, whatever became of it, and asks its own server."""
    steps = [
        {"name": "there", "method": "sendrecv", "request_url": peer.url("bye"), "payload": "a"},
        {"name": "elsewhere", "method": "sendrecv", "request_url": peer.url("echo"), "payload": "b", "think_time": 0.05},
        {"name": "crashed", "method": "sendrecv", "request_url": peer.url("crash"), "payload": "c"},
        {"name": "still elsewhere", "method": "sendrecv", "request_url": peer.url("echo"), "payload": "d"},
        {"name": "pushed", "method": "send", "request_url": peer.url("push"), "payload": "e"},
        {"name": "not the old ones", "method": "sendrecv", "request_url": peer.url("echo?2"), "payload": "f"},
    ]
    steps[0]["think_time"] = steps[2]["think_time"] = steps[4]["think_time"] = 0.3  # in which the peers close, or push
    done = load(tmp_path, steps, user=USER, engine=engine)
    assert [(hit.name, hit.outcome, hit.error) for hit in done.hits] == [(step["name"], OK, "") for step in steps]
    assert peer.messages("echo") == ["b", "d"]
    assert peer.messages("echo?2") == ["f"]
