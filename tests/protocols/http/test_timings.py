"""Where a hit's time goes, by the clock of the server it was spent with: the same for both engines."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trustme

from loadflow.engine.records.hitlog import Rows, read_header
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.timings import TIMINGS, timings_of
from tests.load.harness import USERS, Outcomes, get, load
from tests.protocols.peers import Loop, running_loop

# more than the buffers between two processes hold: who has sent it knows that its reader has begun
LONG = b"x" * 12_000_000


class Server:
    """Notes when it begins to answer each path, and when all but the last byte of a long answer is with its reader."""

    def __init__(self, loop: Loop, tls: ssl.SSLContext | None = None) -> None:
        self.began_ns: dict[str, int] = {}
        self.read_ns = 0
        self.connections = 0
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{loop.tcp(self._answer, tls=tls)}"

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while True:
            path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
            self.began_ns[path] = time.monotonic_ns()
            if path == "/none":
                return
            if path == "/from":
                writer.write(b"HTTP/1.1 302 Found\r\nLocation: /to\r\nContent-Length: 0\r\n\r\n")
                continue
            body = LONG if path == "/long" else b"hi"
            writer.transport.set_write_buffer_limits(0)  # type: ignore[attr-defined]
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:-1])
            await writer.drain()
            self.read_ns = time.monotonic_ns()
            writer.write(body[-1:])


@pytest.fixture
def loop() -> Iterator[Loop]:
    with running_loop() as running:
        yield running


def lengths(rows: Rows) -> dict[str, list[int | None]]:
    """Nanoseconds of each hit, None where it has none."""
    found: dict[str, list[int | None]] = {}
    for name, has, times_ns in timings_of(rows):
        values = iter(times_ns.tolist())
        found[name] = [next(values) if one else None for one in has]
    return found


def on_the_clock(done: Outcomes, field: str) -> list[int]:
    origin_ns = read_header(done.run.hits_path(0)).origin_monotonic_ns
    return [int(value) + origin_ns for value in done.rows[field]]


@pytest.mark.parametrize("user", USERS)
def test_the_first_byte_is_there_before_the_last_and_not_before_the_server_sends_it(user: str, loop: Loop, tmp_path: Path) -> None:
    server = Server(loop)
    done = load(tmp_path, [get("/long")], user=user, host=server.url)
    (first_ns,), (end_ns,) = on_the_clock(done, "first_byte_ns"), on_the_clock(done, "end_ns")
    assert server.began_ns["/long"] <= first_ns <= server.read_ns <= end_ns


@pytest.mark.parametrize("user", USERS)
def test_a_connection_is_in_the_timings_of_the_hit_that_it_was_made_for(user: str, loop: Loop, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    plain, secure = Server(loop), Server(loop, context)
    steps = [get(f"{server.url}/{n}", verify=False) for server in (plain, secure) for n in (1, 2)]
    done = load(tmp_path, steps, user=user)
    assert (plain.connections, secure.connections) == (1, 1)
    found = lengths(done.rows)
    has = {name: [one is not None for one in values] for name, values in found.items()}
    assert (has["dns"], has["connect"], has["tls"]) == ([True, False] * 2, [True, False] * 2, [False, False, True, False])
    assert all(has[name] == [True] * 4 for name in ("ttfb", "send", "wait", "receive"))
    timings = done.summary["timings"]
    assert {name: one["count"] for name, one in timings.items()} == {name: sum(values) for name, values in has.items()}


@pytest.mark.parametrize("user", USERS)
def test_the_timings_of_a_hit_are_its_service_time(user: str, loop: Loop, tmp_path: Path) -> None:
    server = Server(loop)
    done = load(tmp_path, [get("/a"), get("/from"), get("/long")], user=user, host=server.url)
    found = lengths(done.rows)
    for at, row in enumerate(done.rows):
        parts = [found[name][at] or 0 for name in TIMINGS if name in found and name != "ttfb"]
        assert sum(parts) == pytest.approx(int(row["end_ns"] - row["start_ns"]), rel=0.002)
        assert all(part >= -int(row["end_ns"] - row["start_ns"]) * 0.002 for part in parts)


@pytest.mark.parametrize("user", USERS)
def test_behind_redirects_the_first_byte_is_that_of_the_last_answer(user: str, loop: Loop, tmp_path: Path) -> None:
    server = Server(loop)
    done = load(tmp_path, [get("/from")], user=user, host=server.url)
    assert on_the_clock(done, "first_byte_ns")[0] >= server.began_ns["/to"]


@pytest.mark.parametrize("user", USERS)
def test_a_hit_without_an_answer_has_the_timings_that_it_got_to(user: str, loop: Loop, tmp_path: Path) -> None:
    server = Server(loop)
    done = load(tmp_path, [get("/none"), get("http://127.0.0.1:1/")], user=user, host=server.url)
    assert [hit.outcome for hit in done.hits] == [Outcome.CLOSED, Outcome.CONNECT]
    closed, refused = done.rows
    assert closed["first_byte_ns"] == refused["first_byte_ns"] == 0
    assert (closed["connect_ms"] > 0, refused["connect_ms"] > 0) == (True, False)
    assert "ttfb" not in done.summary["timings"]


@pytest.mark.parametrize("user", USERS)
def test_thresholds_on_timings(user: str, loop: Loop, tmp_path: Path) -> None:
    server = Server(loop)
    thresholds: list[Any] = ["ttfb.p95 < 600 s", "connect.max <= 0", "tls.mean < 1 s", {"expr": "wait.p50 < 600 s", "name": "b"}]
    done = load(tmp_path, [get("/a", name="a"), get("/b", name="b")], user=user, host=server.url, thresholds=thresholds)
    states = [(one["state"], one["samples"]) for one in done.run.summary().to_json()["thresholds"]]
    assert states == [("passed", 2), ("failed", 1), ("inconclusive", 0), ("passed", 1)]
    assert np.count_nonzero(done.rows["connect_ms"]) == 1
