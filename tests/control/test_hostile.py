"""Clients that are slow, silent, too many or sending garbage: each is answered or dropped in time, and nothing is left behind."""

from __future__ import annotations

import gc
import hashlib
import json
import random
import socket
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from loadflow.engine.control.frames import MAX_FRAME_BYTES, encode_frame
from loadflow.engine.control.limits import Limits
from tests.control.serving import QUICK, RawClient, client_of, gate_session, open_files, serving, until

LIST = encode_frame(b'{"op": "list"}')


def kind(reply: dict[str, object]) -> object:
    error = reply["error"]
    assert isinstance(error, dict)
    return error["kind"]


@pytest.mark.parametrize("length", [0, MAX_FRAME_BYTES + 1, 2**32 - 1])
def test_a_length_out_of_bounds_is_answered_and_the_connection_closed(tmp_path: Path, length: int) -> None:
    with serving(tmp_path) as server, RawClient(server) as client:
        client.send(length.to_bytes(4, "big"))
        assert kind(client.reply()) == "bad_frame"
        assert client.reply() is None


def test_garbage_in_a_frame_costs_only_that_frame(tmp_path: Path) -> None:
    with serving(tmp_path) as server, RawClient(server) as client:
        client.send(encode_frame(b"\xff\x00garbage"))
        assert kind(client.reply()) == "bad_request"
        assert client.ask(op="list")["ok"]


def test_a_frame_byte_by_byte_is_answered_and_a_tail_waits(tmp_path: Path) -> None:
    with serving(tmp_path) as server, RawClient(server) as client:
        for byte in LIST:
            client.send(bytes([byte]))
        client.send(LIST[:3])
        assert client.reply()["ok"]
        client.send(LIST[3:])
        assert client.reply()["ok"]


WAITS = [
    ("nothing at all", b""),
    ("half a length", b"\x00\x00"),
    ("half a frame", LIST[:-1]),
]


@pytest.mark.parametrize(("what", "data"), WAITS, ids=[row[0] for row in WAITS])
def test_a_silent_client_is_closed_in_time(tmp_path: Path, what: str, data: bytes) -> None:
    with serving(tmp_path, limits=QUICK) as server, RawClient(server) as client:
        client.send(data)
        assert kind(client.reply()) == "timeout"
        assert client.reply() is None


def test_a_frame_that_drips_is_closed_in_time(tmp_path: Path) -> None:
    stop = threading.Event()
    with serving(tmp_path, limits=QUICK) as server, RawClient(server) as client:

        def drip() -> None:
            for byte in (1000).to_bytes(4, "big") + b"x" * 900:
                if stop.wait(0.02):
                    return
                try:
                    client.send(bytes([byte]))
                except OSError:
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        assert kind(client.reply()) == "timeout"
        stop.set()
        dripping.join()


def test_an_idle_client_is_closed_in_time(tmp_path: Path) -> None:
    with serving(tmp_path, limits=QUICK) as server, RawClient(server) as client:
        assert client.ask(op="list")["ok"]
        assert kind(client.reply()) == "timeout"


def test_a_half_open_client_gets_its_answer_and_the_end(tmp_path: Path) -> None:
    with serving(tmp_path) as server, RawClient(server) as client:
        client.send(LIST)
        client.sock.shutdown(socket.SHUT_WR)
        assert client.reply()["ok"]
        assert client.reply() is None


def test_a_half_open_client_is_told_the_end_of_what_it_follows(tmp_path: Path) -> None:
    session, reached, gate = gate_session(tmp_path)
    with serving(tmp_path, session=session, allow_commands=["wait_here"]) as server, RawClient(server) as client:
        client.send(encode_frame(json.dumps({"op": "start", "script": [["wait_here"]], "follow": True}).encode()))
        client.sock.shutdown(socket.SHUT_WR)
        assert reached.wait(30)
        gate.set()
        assert client.reply()["ok"]
        assert client.reply()["event"] == "end"
        assert client.reply() is None


def test_a_client_that_does_not_read_is_dropped(tmp_path: Path) -> None:
    limits = Limits(write_s=0.5, burst_frames=1_000_000)
    with serving(tmp_path, limits=limits) as server, client_of(server) as other:
        for _ in range(4):
            run = other.start([["range", [20_000]]])
            other.follow(run)
        with RawClient(server) as client:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            with pytest.raises(ConnectionError):
                while True:
                    client.send(encode_frame(json.dumps({"op": "result", "run": run}).encode()))
        assert other.list()


def test_too_many_requests_close_the_connection(tmp_path: Path) -> None:
    with serving(tmp_path, limits=Limits(burst_frames=5, frames_per_s=0.001)) as server, RawClient(server) as client:
        client.send(LIST * 6)
        assert [client.reply()["ok"] for _ in range(5)] == [True] * 5
        assert kind(client.reply()) == "rate"
        assert client.reply() is None


def test_what_came_before_a_broken_frame_is_answered(tmp_path: Path) -> None:
    with serving(tmp_path) as server, RawClient(server) as client:
        client.send(LIST + b"\xff" * 8)
        assert client.reply()["ok"]
        assert kind(client.reply()) == "bad_frame"


def test_a_client_too_many_is_told_so(tmp_path: Path) -> None:
    with serving(tmp_path, limits=Limits(connections=2)) as server:
        with RawClient(server) as first, RawClient(server) as second:
            assert first.ask(op="list")["ok"]
            assert second.ask(op="list")["ok"]
            with RawClient(server) as third:
                assert kind(third.reply()) == "busy"
                assert third.reply() is None

        def served() -> bool:
            with RawClient(server) as again:
                return bool(again.ask(op="list")["ok"])

        until(served, "a place is free again")


def test_runs_at_once_are_bounded(tmp_path: Path) -> None:
    session, _reached, gate = gate_session(tmp_path)
    with (
        serving(tmp_path, session=session, allow_commands=["wait_here"], limits=Limits(runs_at_once=1)) as server,
        RawClient(server) as client,
    ):
        assert client.ask(op="start", script=[["wait_here"]])["ok"]
        assert kind(client.ask(op="start", script=[["max", [1, 2]]])) == "busy"
        gate.set()


def test_results_that_are_kept_are_bounded(tmp_path: Path) -> None:
    with serving(tmp_path, limits=Limits(kept_results=2)) as server, client_of(server) as client:
        runs = []
        for number in range(4):
            runs.append(client.start([["abs", [number]]]))
            client.follow(runs[-1])
        assert [one["run"] for one in client.list()] == runs[-2:]


@pytest.mark.parametrize(("most", "kept"), [(100, 1), (4_000, 2), (10**6, 4)])
def test_results_are_bounded_in_bytes_but_for_the_newest(tmp_path: Path, most: int, kept: int) -> None:
    with serving(tmp_path, limits=Limits(kept_result_bytes=most)) as server, client_of(server) as client:
        runs = []
        for number in range(5):
            texts = [hashlib.sha256(f"{number} {index}".encode()).hexdigest() for index in range(40)]  # 1.6 kB once compressed
            runs.append(client.start([["sorted", [texts]]]))
            assert client.follow(runs[-1])["actions"][0]["value"] == sorted(texts)
        assert [one["run"] for one in client.list()] == runs[-1 - kept :]


def test_a_dead_client_leaves_its_run_going_for_others(tmp_path: Path) -> None:
    session, _reached, gate = gate_session(tmp_path)
    with serving(tmp_path, session=session, allow_commands=["wait_here"]) as server, client_of(server) as client:
        with RawClient(server) as dying:
            run = dying.ask(op="start", script=[["wait_here"]], follow=True)["result"]["run"]
            dying.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")  # a reset
        gate.set()
        assert client.follow(run)["actions"][0]["value"] == "through"


def mutated(data: bytes, randomness: random.Random) -> bytes:
    """`data` with a few bytes changed, left out, put in, or cut off."""
    changed = bytearray(data)
    for _ in range(randomness.randint(1, 6)):
        at = randomness.randrange(len(changed)) if changed else 0
        match randomness.randrange(4):
            case 0 if changed:
                changed[at] = randomness.randrange(256)
            case 1 if changed:
                del changed[at]
            case 2:
                changed.insert(at, randomness.randrange(256))
            case _:
                del changed[max(at, 1) :]
    return bytes(changed)


SEEDS = [
    LIST,
    encode_frame(b'{"op": "start", "script": [["len", ["four"]]], "follow": true, "id": 1}'),
    encode_frame(b'{"op": "follow", "run": "abc"}') + LIST,
    encode_frame(b'{"op": "stop", "run": "abc", "reason": "x", "token": "\\ud800"}'),
    b'[["len", ["four"]]]',
    b'{"token": "t", "command": [["abs", [3]]]}',
]


@pytest.mark.parametrize("framed", [True, False])
def test_mutated_requests_neither_crash_nor_hang_nor_leak(tmp_path: Path, framed: bool) -> None:
    randomness = random.Random(7)
    limits = Limits(read_s=0.2, idle_s=0.2, runs_at_once=8)
    gc.collect()
    threads, files = threading.active_count(), open_files()
    with serving(tmp_path, framed=framed, limits=limits) as server:
        for number in range(250):
            with RawClient(server) as client:
                client.send(mutated(SEEDS[number % len(SEEDS)], randomness))
                if number % 3:
                    client.sock.shutdown(socket.SHUT_WR)
                if number % 5 == 0:
                    client.received()
        with RawClient(server) as client:
            client.send(LIST if framed else b'[["abs", [3]]]')
            answer = client.received()
            assert b'"ok":true' in answer if framed else answer.startswith(b"3\n")
    until(lambda: threading.active_count() <= threads, "all threads are over")
    gc.collect()
    assert open_files() <= files


@pytest.mark.parametrize("framed", [True, False])
def test_random_bytes_neither_crash_nor_hang(tmp_path_factory: pytest.TempPathFactory, framed: bool) -> None:
    with serving(tmp_path_factory.mktemp("fuzz"), framed=framed) as server:

        @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(st.binary(max_size=64) | st.sampled_from(SEEDS), max_size=4))
        def feed(parts: list[bytes]) -> None:
            # hypothesis tries constants that stand in the code, and an honest request to quit is obeyed
            assume(b"quit" not in b"".join(parts))
            with RawClient(server) as client:
                try:
                    for part in parts:
                        client.send(part)
                    client.sock.shutdown(socket.SHUT_WR)
                except OSError:
                    return  # refused at once, and closed
                client.all()  # ends: the server answers and closes

        feed()
        with RawClient(server) as client:
            client.send(LIST if framed else b'[["abs", [3]]]')
            assert client.received()
