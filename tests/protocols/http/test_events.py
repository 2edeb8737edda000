"""Answers that are streams of events: what counts as one, when a stream is over, and what is recorded of it, on both engines."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadflow.engine.protocols.http.events import Event, EventReader
from loadflow.engine.records.hitlog import Rows, read_header, read_rows
from loadflow.engine.records.outcome import HitFlag, Outcome
from tests.load.harness import USERS, get, load
from tests.protocols.peers import Loop, running_loop

SSE = (
    "\ufeff: hello\ndata: one\n\nevent: add\r\ndata: two\r\ndata:  three\rid: 7\r\n\r\n"
    "\ndata\n\nretry: 5\n\nevent: x\n\ndata: ü\r\rdata: no end"
)
LINES = '{"a": 1}\n\n  \r\n{"b": "ü"}\r\n[3]'
READ = [
    ("sse", SSE, [("", "one"), ("add", "two\n three"), ("", ""), ("", "ü")]),
    ("lines", LINES, [("", '{"a": 1}'), ("", '{"b": "ü"}'), ("", "[3]")]),
]


@pytest.mark.parametrize(("format", "text", "expected"), READ)
def test_events_are_the_same_however_they_are_cut(format: str, text: str, expected: list[tuple[str, str]]) -> None:
    data = text.encode()
    cuts = [[data], [data[at : at + 1] for at in range(len(data))], *([data[:at], data[at:]] for at in range(len(data)))]
    for pieces in cuts:
        reader = EventReader(format)
        found = [event for piece in pieces for event in reader.feed(piece)] + list(reader.end())
        assert found == [Event(*one) for one in expected]


TOKENS = [
    ('{"delta": "Hi"}', 1),
    ('{"delta": ""}', 0),
    ('{"delta": 12}', 12),
    ('{"delta": 2.9}', 2),
    ('{"delta": -1}', 0),
    ('{"delta": true}', 0),
    ('{"delta": null}', 0),
    ('{"delta": ["a"]}', 0),
    ("{}", 0),
    ("no JSON", 0),
]


@pytest.mark.parametrize(("data", "tokens"), TOKENS)
def test_the_tokens_of_an_event(data: str, tokens: int) -> None:
    assert Event("", data).tokens("delta") == tokens


@pytest.fixture
def loop() -> Iterator[Loop]:
    with running_loop() as running:
        yield running


class Server:
    """Answers every request with one stream, piece by piece; `hangs`: it then says nothing more, and keeps the connection."""

    def __init__(self, loop: Loop, pieces: list[str], *, kind: str = "text/event-stream", hangs: bool = False, head: str = "") -> None:
        self.connections = 0
        self.requests: list[str] = []
        self.sent_ns: list[int] = []
        self._pieces, self._kind, self._hangs, self._head = pieces, kind, hangs, head or "HTTP/1.1 200 OK"
        self.url = f"http://127.0.0.1:{loop.tcp(self._answer)}/"

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while True:
            self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(f"{self._head}\r\nContent-Type: {self._kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
            for piece in self._pieces:
                self.sent_ns.append(time.monotonic_ns())
                data = piece.encode()
                writer.write(b"%x\r\n%s\r\n" % (len(data), data))
                await writer.drain()
                await asyncio.sleep(0.002)
            if self._hangs:
                await reader.read()
                return
            writer.write(b"0\r\n\r\n")


def rows_of(done: Any) -> tuple[Rows, Rows]:
    """Of the hits, and of their events."""
    rows = read_rows(done.run.hits_path(0))
    events = (rows["flags"] & HitFlag.EVENT) != 0
    return rows[~events], rows[events]


def chat(*texts: str) -> list[str]:
    return [f"data: {json.dumps({'choices': [{'delta': {'content': text}}]})}\n\n" for text in texts]


DONE, CONTENT = "data: [DONE]\n\n", "choices.0.delta.content"
CASES: list[tuple[str, list[str], dict[str, Any], bool, tuple[int, int], tuple[Outcome, str]]] = [
    ("to its end", chat("a", "b"), {}, False, (2, 0), (Outcome.OK, "")),
    ("no event", [": nothing\n\n"], {}, False, (0, 0), (Outcome.OK, "")),
    ("until its data", [*chat("a", "", "c"), DONE], {"until": "[DONE]", "tokens": CONTENT}, True, (3, 2), (Outcome.OK, "")),
    ("until its name", ["data: 1\n\n", "event: stop\ndata: {}\n\n"], {"until": "stop"}, True, (1, 0), (Outcome.OK, "")),
    ("so many", chat("a", "b", "c"), {"max_events": 2}, True, (2, 0), (Outcome.OK, "")),
    ("so many, of fewer", chat("a"), {"max_events": 2}, False, (1, 0), (Outcome.OK, "")),
    ("ended too early", chat("a"), {"until": "[DONE]"}, False, (1, 0), (Outcome.CLOSED, 'the stream ended before "[DONE]"')),
    ("a line each", ['{"n": 3}\n{"n"', ': 4}\n'], {"format": "lines", "tokens": "n"}, False, (2, 7), (Outcome.OK, "")),
]  # fmt: skip


@pytest.mark.parametrize(("pieces", "stream", "hangs", "counts", "ends"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
@pytest.mark.parametrize("user", USERS)
def test_streams(
    user: str,
    pieces: list[str],
    stream: dict[str, Any],
    hangs: bool,
    counts: tuple[int, int],
    ends: tuple[Outcome, str],
    loop: Loop,
    tmp_path: Path,
) -> None:
    server = Server(loop, pieces, hangs=hangs)
    done = load(tmp_path, [get(server.url, stream=stream, name="chat")], user=user, iterations=2)
    hits, events = rows_of(done)
    assert [(hit.outcome, hit.error) for hit in done.hits] == [ends, ends]
    assert server.connections == (2 if hangs else 1), "a stream that was not read to its end leaves no connection"
    assert "Accept-Encoding: identity" in server.requests[0]
    found = done.summary["stream"] or {"events": 0, "tokens": 0}
    assert (found["events"], found["tokens"]) == (2 * counts[0], 2 * counts[1])
    assert done.summary["totals"]["requests"] == len(done.rows) == len(hits) == 2
    assert len(events) == 2 * counts[0]
    timings = {name: one["count"] for name, one in done.summary["timings"].items()}
    assert (timings.get("first_event", 0), timings.get("event_gap", 0)) == (2 * min(1, counts[0]), 2 * max(0, counts[0] - 1))
    assert done.run.fold().to_json()["series"][0]["events"] == 2 * counts[0]


@pytest.mark.parametrize("user", USERS)
def test_the_times_of_events_are_those_at_which_they_came(user: str, loop: Loop, tmp_path: Path) -> None:
    server = Server(loop, chat("a", "b", "c"))
    done = load(tmp_path, [get(server.url, stream={"tokens": "choices.0.delta.content"}, name="chat")], user=user)
    (hit,), events = rows_of(done)
    origin_ns = read_header(done.run.hits_path(0)).origin_monotonic_ns
    assert events["start_ns"].tolist() == [hit["start_ns"], *events["end_ns"][:-1]], "each begins where the one before ended"
    assert all(came + origin_ns >= sent for came, sent in zip(events["end_ns"].tolist(), server.sent_ns, strict=True))
    assert np.all(events["end_ns"] <= hit["end_ns"])
    assert events["status"].tolist() == [1, 2, 3]
    assert set(events["series"].tolist()) == {int(hit["series"])}


OTHER = [
    ("an error is no stream", "HTTP/1.1 503 Busy", chat("a"), (Outcome.STATUS, "status 503 Busy")),
    (
        "nor is what is coded",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip",
        [gzip.compress(b"data: 1\n\n").decode("latin-1")],
        (Outcome.PROTOCOL, "a stream of events in a content coding"),
    ),
]


@pytest.mark.parametrize(("head", "pieces", "ends"), [row[1:] for row in OTHER], ids=[row[0] for row in OTHER])
@pytest.mark.parametrize("user", USERS)
def test_what_is_no_stream(user: str, head: str, pieces: list[str], ends: tuple[Outcome, str], loop: Loop, tmp_path: Path) -> None:
    server = Server(loop, pieces, head=head)
    done = load(tmp_path, [get(server.url, stream={"until": "[DONE]"})], user=user)
    assert [(hit.outcome, hit.error) for hit in done.hits] == [ends]
    assert len(rows_of(done)[1]) == 0


@pytest.mark.parametrize("user", USERS)
def test_thresholds_and_checks_of_streams(user: str, loop: Loop, tmp_path: Path) -> None:
    server = Server(loop, chat("Hello", " you"))
    step = get(server.url, stream={}, name="chat", assertions=[{"type": "contains", "value": "Hello"}])
    thresholds = ["first_event.p95 < 600 s", "event_gap.max < 600 s", "event_gap.p50 <= 0"]
    done = load(tmp_path, [step], user=user, thresholds=thresholds)
    found = done.run.summary().to_json()["thresholds"]
    assert [(one["state"], one["samples"]) for one in found] == [("passed", 1), ("passed", 1), ("failed", 1)]
    assert [hit.outcome for hit in done.hits] == [Outcome.OK]


REFUSED = [
    ({"max_events": 0}, r"tasks\[0\]\.stream\.max_events"),
    ({"until": ""}, r"tasks\[0\]\.stream\.until"),
    ({"format": "xml"}, r"tasks\[0\]\.stream\.format"),
    ({"tokens": "a["}, r"tasks\[0\]\.stream\.tokens"),
    ({"most": 1}, r"tasks\[0\]\.stream\.most"),
]


@pytest.mark.parametrize(("stream", "said"), REFUSED)
def test_what_is_no_stream_of_a_step(stream: dict[str, Any], said: str, tmp_path: Path) -> None:
    from loadflow.errors import CommandError

    with pytest.raises(CommandError, match=said):
        load(tmp_path, [get("http://127.0.0.1:1/", stream=stream)])
