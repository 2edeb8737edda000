"""Old clients over raw sockets: LoadDensity's unframed mode."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from loadflow.engine.control.limits import Limits
from loadflow.engine.script.command import Command
from loadflow.engine.session.session import Session
from tests.control.serving import LIMIT_S, QUICK, RawClient, gate_session, load, serving
from tests.targets.fixture import Target

MARKER = b"Return_Data_Over_JE\n"


ANSWERS = [
    ("a list", b'[["abs", [-3]], ["str", ["text"]]]', b"3\ntext\n" + MARKER),
    ("a document", b'{"load_density": [["sorted", [[2, 1]]]]}', b"[1, 2]\n" + MARKER),
    ("an envelope", b'{"command": [["abs", [-3]]]}', b"3\n" + MARKER),
    ("a command that returns nothing", b'[["print", ["hello"]]]', b"null\n" + MARKER),
    ("an envelope without a command", b'{"token": "x"}', b"Error: the envelope has no command\n" + MARKER),
    ("an empty list", b"[]", b"Error: the script has no actions; write at least one"),
    ("no JSON", b"[1, 2}", b"Error: the request is not JSON"),
    ("no request", b"hello", b"Error: a request is a JSON list, a JSON object, or quit_server\n" + MARKER),
    ("an unknown command", b'[["LD_sumary"]]', b"Error: actions[0]: 'LD_sumary' is not a command; did you mean 'LD_summary'?\n" + MARKER),
    (
        "a path outside of the root",
        b'[["LD_register_csv_source", ["a", "/etc/passwd"]]]',
        b"Error: actions[0].arguments[1]: '/etc/passwd' is outside",
    ),
]


@pytest.mark.parametrize(("what", "request_", "answer"), ANSWERS, ids=[row[0] for row in ANSWERS])
@pytest.mark.parametrize("cut", ["whole", "in two segments", "byte by byte"])
def test_an_old_client_gets_lines_and_the_marker(tmp_path: Path, what: str, request_: bytes, answer: bytes, cut: str) -> None:
    with serving(tmp_path, framed=False) as server, RawClient(server) as client:
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        size = {"whole": len(request_), "in two segments": len(request_) // 2 + 1, "byte by byte": 1}[cut]
        for at in range(0, len(request_), size):
            try:
                client.send(request_[at : at + size])
            except OSError:
                break  # refused already
        told = client.all()
    assert told.startswith(answer)
    assert told.endswith(MARKER)


def test_a_request_of_many_segments_is_read_whole(tmp_path: Path) -> None:
    words = [f"word {number}" for number in range(20_000)]
    with serving(tmp_path, framed=False) as server, RawClient(server) as client:
        client.send(json.dumps([["len", [words]]]).encode())
        assert client.all() == b"20000\n" + MARKER


def test_a_load_is_answered_when_it_is_over(tmp_path: Path, target: Target) -> None:
    target.reset()
    with serving(tmp_path, framed=False) as server, RawClient(server) as client:
        client.send(json.dumps([load(f"{target.url}/ok"), ["LD_clear_records"]]).encode())
        first, second, marker, end = client.all().split(b"\n")
    assert json.loads(first)["totals"]["requests"] == len(target.records()) > 0
    assert (json.loads(second), marker, end) == ({"status": "cleared"}, MARKER.strip(), b"")


def test_an_action_that_fails_stands_in_its_line_as_python_writes_it(tmp_path: Path) -> None:
    def breaks() -> None:
        raise ValueError("two\nlines")

    session = Session(runs_dir=tmp_path, own_commands={"breaks": Command("breaks", breaks, "Breaks.")})
    with serving(tmp_path, framed=False, session=session, allow_commands=["breaks"]) as server, RawClient(server) as client:
        client.send(b'[["breaks", null, {"on_error": "continue"}], ["abs", [1]]]')
        assert client.all() == b"ValueError('two\\nlines')\n1\n" + MARKER


@pytest.mark.parametrize("request_", [b"quit_server", b'{"op": "quit"}', b" quit_server\r\n"])
def test_an_old_client_ends_the_server(tmp_path: Path, request_: bytes) -> None:
    with serving(tmp_path, framed=False) as server, RawClient(server) as client:
        client.send(request_)
        assert client.all() == b"Server shutting down\n"
        assert server.wait(LIMIT_S)


TOKENS = [
    ("a bare script", b'[["abs", [-3]]]', b"Error: token required\n" + MARKER),
    ("a bare quit", b"quit_server", b"Error: token required\n" + MARKER),
    ("a wrong token", b'{"token": "wrong", "command": [["abs", [-3]]]}', b"Error: unauthorised\n" + MARKER),
    ("no token", b'{"command": [["abs", [-3]]]}', b"Error: token required\n" + MARKER),
    ("a wrong token and quit", '{"token": "gehéim", "op": "quit"}'.encode(), b"Error: unauthorised\n" + MARKER),
    ("the token", '{"token": "gehéim€", "command": [["abs", [-3]]]}'.encode(), b"3\n" + MARKER),
]


@pytest.mark.parametrize(("what", "request_", "answer"), TOKENS, ids=[row[0] for row in TOKENS])
def test_an_old_client_needs_the_token_too(tmp_path: Path, what: str, request_: bytes, answer: bytes) -> None:
    with serving(tmp_path, framed=False, token="gehéim€") as server:
        with RawClient(server) as client:
            client.send(request_)
            assert client.all() == answer
        with RawClient(server) as client:
            client.send('{"token": "gehéim€", "op": "quit"}'.encode())
            assert client.all() == b"Server shutting down\n"


@pytest.mark.parametrize("data", [b"", b"[", b'[["print", ["half', b"quit_ser"])
def test_half_a_request_is_answered_in_time(tmp_path: Path, data: bytes) -> None:
    with serving(tmp_path, framed=False, limits=QUICK) as server, RawClient(server) as client:
        client.send(data)
        assert client.all() == b"Error: no whole request in time\n" + MARKER


def test_half_a_request_and_a_shutdown_are_answered_at_once(tmp_path: Path) -> None:
    with serving(tmp_path, framed=False) as server, RawClient(server) as client:
        client.send(b'[["print", ["half')
        client.sock.shutdown(socket.SHUT_WR)
        told = client.all()
    assert told.startswith(b"Error: the request is not JSON")


def test_a_request_too_large_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path, framed=False) as server, RawClient(server) as client:
        try:
            for _ in range(40):
                client.send(b"[" * 65_536)
        except OSError:
            pass
        assert b"larger than" in client.all()


def test_a_run_longer_than_every_patience_is_still_answered(tmp_path: Path) -> None:
    session, reached, gate = gate_session(tmp_path)
    quick = Limits(read_s=0.2, idle_s=0.2)
    with (
        serving(tmp_path, framed=False, session=session, allow_commands=["wait_here"], limits=quick) as server,
        RawClient(server) as client,
    ):
        client.send(b'[["wait_here"]]')
        client.sock.settimeout(0.8)
        with pytest.raises(TimeoutError):
            client.sock.recv(1)
        client.sock.settimeout(LIMIT_S)
        gate.set()
        assert client.all() == b"through\n" + MARKER
    assert reached.is_set()
