"""The master's socket in a process of its own, and peers with the token, without it, and with garbage."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq

from loadflow.engine.cluster.keys import Keys, find_token, keys_of
from loadflow.errors import CommandError

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "a token of the tests"
LIMIT_MS = 20_000


class Echo:
    def __init__(self) -> None:
        env = {**os.environ, "LOADFLOW_WORKER_TOKEN": TOKEN}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.cluster.echoing"], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, stderr=subprocess.PIPE
        )
        self.port: int = self.line()["port"]

    def line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    one = Echo()
    yield one
    one.process.kill()
    one.process.communicate()


@pytest.fixture
def context() -> Iterator[zmq.Context[Any]]:
    one = zmq.Context()
    yield one
    one.destroy(linger=0)


def dealer(context: zmq.Context[Any], port: int, keys: Keys | None, name: bytes) -> zmq.Socket[bytes]:
    one = context.socket(zmq.DEALER)
    one.setsockopt(zmq.IDENTITY, name)
    one.setsockopt(zmq.RCVTIMEO, LIMIT_MS)
    if keys is not None:
        one.curve_serverkey, one.curve_publickey, one.curve_secretkey = keys.master.public, keys.worker.public, keys.worker.secret
    one.connect(f"tcp://127.0.0.1:{port}")
    return one


def is_alive(echo: Echo, context: zmq.Context[Any]) -> bool:
    one = dealer(context, echo.port, keys_of(TOKEN), f"alive-{secrets.token_hex(4)}".encode())
    one.send(msgpack.dumps(("ping", {"n": 1}, "")))
    return bool(msgpack.loads(one.recv())[0] == "ping")


def until(echo: Echo, key: str) -> dict[str, Any]:
    while key not in (line := echo.line()):
        pass
    return line


def test_who_holds_the_token_is_heard_and_nobody_speaks_for_another(echo: Echo, context: zmq.Context[Any]) -> None:
    one = dealer(context, echo.port, keys_of(TOKEN), b"worker-1")
    one.send(msgpack.dumps(("heartbeat", {"a": b"\x00\xff"}, "worker-2")))
    line = until(echo, "sender")
    assert (line["sender"], line["node"], line["kind"]) == ("worker-1", "worker-1", "heartbeat")
    assert msgpack.loads(one.recv()) == ["heartbeat", {"a": b"\x00\xff"}, "worker-1"]


def a_right_master_key_alone(keys: Keys) -> Keys:
    return Keys(keys.master, keys_of("some other token").worker)


@pytest.mark.parametrize(
    "keys",
    [keys_of("another token"), a_right_master_key_alone(keys_of(TOKEN)), None],
    ids=["another token", "the master's key, but not the worker's", "no encryption at all"],
)
def test_a_stranger_is_refused_and_named_and_gets_nothing(keys: Keys | None, echo: Echo, context: zmq.Context[Any]) -> None:
    one = dealer(context, echo.port, keys, b"stranger")
    one.setsockopt(zmq.RCVTIMEO, 300)
    one.send(msgpack.dumps(("client_ready", "2.47.0", "stranger")))
    assert until(echo, "refused")["refused"].startswith("127.0.0.1")
    with pytest.raises(zmq.Again):
        one.recv()
    one.close(linger=0)
    assert is_alive(echo, context)


GARBAGE = [
    b"",
    b"\x00",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\xff" + bytes(8) + b"\x7f",
    b"\xff" + bytes(8) + b"\x7f\x03\x00CURVE" + bytes(48),
    b"\xff" + bytes(8) + b"\x7f\x03\x00CURVE" + bytes(48) + b"\x04\xc8\x05HELLO" + bytes(194),
    b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(49) + b"\x04\x19\x05READY" + bytes(19),
    secrets.token_bytes(5_000),
    b"\xff" * 100_000,
]


def test_bytes_that_are_no_handshake_neither_crash_nor_stop_the_master(echo: Echo, context: zmq.Context[Any]) -> None:
    for piece in GARBAGE:
        with socket.create_connection(("127.0.0.1", echo.port)) as peer:
            try:
                peer.sendall(piece)
            except OSError:
                continue  # cut off in the middle: refused
    assert is_alive(echo, context)


FRAMES = [
    [],
    [b""],
    [b"\xc1"],
    [b"\x93\xa1a"],
    [msgpack.dumps(1)],
    [msgpack.dumps((1, 2, 3))],
    [msgpack.dumps(("a", 1))],
    [msgpack.dumps(("a", 1, "b")) + b"x"],
    [msgpack.dumps({"__datetime__": 1})],
    [b"\x93\xa1a\x81\x90\x01\xa1b"],
    [b"\x93" * 2_000],
    [b"\xdd\xff\xff\xff\xff"],
    *[[secrets.token_bytes(n)] for n in (1, 7, 40, 300)],
]


def test_messages_of_a_holder_of_the_token_that_are_none_are_left_out(echo: Echo, context: zmq.Context[Any]) -> None:
    one = dealer(context, echo.port, keys_of(TOKEN), b"odd")
    for frames in FRAMES:
        one.send_multipart(frames or [b""])
    one.send(msgpack.dumps(("last", None, "")))
    while msgpack.loads(one.recv())[0] != "last":
        pass
    assert is_alive(echo, context)


def test_a_name_that_is_no_text_is_left_out(echo: Echo, context: zmq.Context[Any]) -> None:
    one = dealer(context, echo.port, keys_of(TOKEN), b"\xff\xfe")
    one.send(msgpack.dumps(("ping", None, "")))
    assert is_alive(echo, context)


def test_a_token_is_needed_where_others_can_reach_the_master(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOADFLOW_WORKER_TOKEN", raising=False)
    with pytest.raises(CommandError, match="there is no token; set LOADFLOW_WORKER_TOKEN"):
        find_token("*", "LD_start_test.master_bind_host")


def test_a_short_token_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADFLOW_WORKER_TOKEN", "secret")
    with pytest.raises(CommandError, match="the token has 6 characters"):
        find_token("127.0.0.1", "here")


def test_on_loopback_a_user_has_a_token_that_nobody_else_can_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LOADFLOW_WORKER_TOKEN", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    first, second = find_token("127.0.0.1", "here"), find_token("localhost", "here")
    assert first == second
    assert first.own
    assert len(first.text) > 30
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "loadflow").iterdir()] == [0o600]


def test_a_token_file_gives_its_first_line(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a long enough token\n# a note\n")
    assert find_token("*", "here", str(tmp_path / "token")).text == "a long enough token"
    with pytest.raises(CommandError, match="can't be read"):
        find_token("*", "here", str(tmp_path / "none"))
