# ruff: noqa: E501  # a row stays on one line
"""A peer of HTTP/2 that means harm to a connection with several requests on it: each has its own outcome, and the next is answered."""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadflow.engine.generator.native.fit import is_built
from loadflow.engine.hostile.http2_answers import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    OK,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    SETTINGS_FRAME,
    SETTINGS_SEEN,
    WINDOW_UPDATE,
    fields,
    frame,
)
from loadflow.engine.hostile.memory import MemoryWatch
from loadflow.engine.hostile.play import MOST_MEMORY_MB
from loadflow.engine.records.hitlog import read_header
from loadflow.engine.records.outcome import Outcome
from tests.hostile.test_target import MOST_LAG_MS
from tests.load.harness import get, load
from tests.protocols.peers import Loop, running_loop
from tests.services import need

AT_ONCE = 3
FIRST, SECOND, THIRD = 1, 3, 5  # streams of a new connection
PREFACE_BYTES = 24


def u32(*numbers: int) -> bytes:
    return struct.pack(f"!{len(numbers)}I", *numbers)


def answer(stream: int) -> bytes:
    return frame(HEADERS, END_HEADERS, stream, OK) + frame(DATA, END_STREAM, stream, b"hi")


def reset(stream: int, code: int) -> bytes:
    return frame(RST_STREAM, 0, stream, u32(code))


def goaway(last: int, code: int = 0, text: bytes = b"") -> bytes:
    return frame(GOAWAY, 0, 0, u32(last, code) + text)


def setting(number: int, value: int) -> bytes:
    return frame(SETTINGS, 0, 0, struct.pack("!HI", number, value))


OTHERS = answer(FIRST) + answer(THIRD)
ALL = answer(FIRST) + answer(SECOND) + answer(THIRD)
TABLE, PUSH, MOST_STREAMS, WINDOW, LONGEST, MOST_FIELDS = range(1, 7)
HI, WRONG, GONE, LATE = Outcome.OK, Outcome.PROTOCOL, Outcome.CLOSED, Outcome.TIMEOUT
BOMB = OK + fields((b"x-bomb", b"b" * 4_000), kept=True) + b"\xbe" * 16_000


class Peer:
    """Waits for all requests of its first connection, sends these frames, and answers whatever is asked then, and on later connections.

    `every`: does so to each connection. `closes`: ends it behind the frames.
    """

    def __init__(self, loop: Loop, frames: bytes, *, closes: bool = False, every: bool = False, flood: bytes = b"") -> None:
        self.connections = 0
        self._frames, self._closes, self._every, self._flood = frames, closes, every, flood
        self.url = f"http://127.0.0.1:{loop.tcp(self._serve)}/"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        is_hostile = self._every or self.connections == 1
        writer.write(SETTINGS_FRAME)
        await reader.readexactly(PREFACE_BYTES)
        seen = 0
        while True:
            begin = await reader.readexactly(9)
            kind, flags, stream = begin[3], begin[4], int.from_bytes(begin[5:], "big")
            await reader.readexactly(int.from_bytes(begin[:3], "big"))
            if kind == SETTINGS and not flags & ACK:
                writer.write(SETTINGS_SEEN)
            if kind != HEADERS:
                continue
            seen += 1
            if is_hostile and seen < AT_ONCE:
                continue
            writer.write(self._frames if is_hostile and seen == AT_ONCE else answer(stream))
            if is_hostile and seen == AT_ONCE and self._flood:
                while True:
                    writer.write(self._flood * 1_000)
                    await writer.drain()
            if is_hostile and seen == AT_ONCE and self._closes:
                await writer.drain()
                return


class Row:
    def __init__(
        self,
        sentence: str,
        frames: bytes,
        *ends: Outcome,
        closes: bool = False,
        every: bool = False,
        flood: bytes = b"",
        sends: bool = False,
    ) -> None:
        self.sentence, self.frames, self.ends, self.sends = sentence, frames, Counter(ends), sends
        self.more = {"closes": closes, "every": every, "flood": flood}


ROWS = [
    Row("a goodbye between the requests: those behind it go to another", goaway(FIRST) + answer(FIRST), HI, HI, HI),
    Row("a goodbye to all of them", goaway(0), HI, HI, HI, closes=True),
    Row("a goodbye to all of them on each connection", goaway(0), GONE, GONE, GONE, closes=True, every=True),
    Row("a goodbye with an error, which saw the first", goaway(FIRST, 11, b"calm down") + answer(FIRST), HI, GONE, GONE),
    Row("a goodbye that takes back what it said", goaway(0) + goaway(THIRD) + ALL, HI, HI, HI),
    Row("a goodbye, and no answer to what it saw", goaway(THIRD), GONE, GONE, GONE, closes=True),
    Row("a goodbye of 7 bytes", frame(GOAWAY, 0, 0, bytes(7)), WRONG, WRONG, WRONG),
    *(Row(f"a reset with code {code}", reset(SECOND, code) + OTHERS, HI, HI, GONE) for code in (*range(7), *range(8, 15), 2**32 - 1)),
    Row("a refusal", reset(SECOND, 7) + OTHERS, HI, HI, HI),
    Row("a refusal of all", b"".join(reset(stream, 7) for stream in (FIRST, SECOND, THIRD)), HI, HI, HI),
    Row("a reset behind the answer", answer(SECOND) + reset(SECOND, 0) + OTHERS, HI, HI, HI),
    Row("a reset within the answer", frame(HEADERS, END_HEADERS, SECOND, OK) + frame(DATA, 0, SECOND, b"h") + reset(SECOND, 8) + OTHERS, HI, HI, GONE),
    Row("a reset of 5 bytes", frame(RST_STREAM, 0, SECOND, bytes(5)), WRONG, WRONG, WRONG),
    Row("a reset of the connection", frame(RST_STREAM, 0, 0, u32(8)), WRONG, WRONG, WRONG),
    Row("a reset of a stream that nobody opened", reset(1_001, 8), WRONG, WRONG, WRONG),
    Row("resets without end", b"", GONE, WRONG, WRONG, flood=reset(SECOND, 8)),
    Row("a window of more than 2^31 of a stream that sends no more", frame(WINDOW_UPDATE, 0, SECOND, u32(2**31 - 1)) + ALL, HI, HI, HI),
    Row("a window of more than 2^31 of a stream that sends", frame(WINDOW_UPDATE, 0, SECOND, u32(2**31 - 1)) + OTHERS, HI, HI, WRONG, sends=True),
    Row("a window of a stream that opens by 0", frame(WINDOW_UPDATE, 0, SECOND, u32(0)) + OTHERS, WRONG, WRONG, WRONG),
    Row("a window of all of more than 2^31", frame(WINDOW_UPDATE, 0, 0, u32(2**31 - 1)), WRONG, WRONG, WRONG),
    Row("windows by SETTINGS of more than 2^31", setting(WINDOW, 2**31), WRONG, WRONG, WRONG),
    Row("windows by SETTINGS that overflow", frame(WINDOW_UPDATE, 0, SECOND, u32(2**30)) + setting(WINDOW, 2**31 - 1), WRONG, WRONG, WRONG, sends=True),
    Row("windows of 0, and of much, in turns", (setting(WINDOW, 0) + setting(WINDOW, 2**20)) * 3 + ALL, HI, HI, HI),
    Row("frames of 1 byte", setting(LONGEST, 1), WRONG, WRONG, WRONG),
    Row("no more streams, and then many", setting(MOST_STREAMS, 0) + ALL + setting(MOST_STREAMS, 100), HI, HI, HI),
    Row("no fields at all", setting(MOST_FIELDS, 0) + ALL, HI, HI, HI),
    Row("a table of 4 GB, and of none", setting(TABLE, 2**32 - 1) + setting(TABLE, 0) + ALL, HI, HI, HI),
    Row("a bomb of fields", frame(HEADERS, END_HEADERS, SECOND, BOMB[:16_000]) + OTHERS, WRONG, WRONG, WRONG),
    Row("CONTINUATION without end", frame(HEADERS, 0, SECOND, OK), WRONG, WRONG, WRONG, flood=frame(CONTINUATION, 0, SECOND, fields((b"x", b"1")))),
    Row("CONTINUATION of another stream", frame(HEADERS, 0, SECOND, OK) + frame(CONTINUATION, END_HEADERS, THIRD), WRONG, WRONG, WRONG),
    Row("DATA within a head", frame(HEADERS, 0, SECOND, OK) + frame(DATA, END_STREAM, FIRST, b"hi"), WRONG, WRONG, WRONG),
    Row("a promise", frame(PUSH_PROMISE, END_HEADERS, SECOND, u32(2) + b"\x82\x86\x84"), WRONG, WRONG, WRONG),
    Row("no answer to one", OTHERS, HI, HI, LATE),
    Row("no answer at all", b"", LATE, LATE, LATE),
    Row("closed behind the first answer", answer(FIRST), HI, GONE, GONE, closes=True),
    Row("closed within an answer", answer(FIRST) + frame(HEADERS, END_HEADERS, SECOND, OK) + frame(DATA, 0, SECOND, b"h"), HI, GONE, GONE, closes=True),
    Row("closed within a frame", OTHERS + frame(HEADERS, END_HEADERS, SECOND, OK, 1_000), HI, HI, GONE, closes=True),
    Row("an answer before its head", frame(DATA, END_STREAM, SECOND, b"hi") + OTHERS, WRONG, WRONG, WRONG),
    Row("a second answer", OTHERS + answer(FIRST) + answer(SECOND), HI, HI, HI),
    Row("hints without end", OTHERS, HI, HI, WRONG, flood=frame(HEADERS, END_HEADERS, SECOND, fields((b":status", b"103")))),
    Row("a body without end", OTHERS + frame(HEADERS, END_HEADERS, SECOND, OK), HI, HI, WRONG, flood=frame(DATA, 0, SECOND)),
    Row("the last first, in pieces", b"".join(frame(HEADERS, END_HEADERS, one, OK) for one in (THIRD, SECOND, FIRST)) + b"".join(frame(DATA, flags, one, b"h") for flags in (0, END_STREAM) for one in (FIRST, THIRD, SECOND)), HI, HI, HI),
]  # fmt: skip


@pytest.fixture
def loop() -> Iterator[Loop]:
    with running_loop() as running:
        yield running


@pytest.mark.parametrize("users", [pytest.param(1, marks=pytest.mark.long, id="a batch"), pytest.param(AT_ONCE, id="users that share it")])
def test_each_request_has_its_outcome(users: int, loop: Loop, tmp_path: Path) -> None:
    need(is_built(), "the native core is not built")
    steps: list[dict[str, object]] = []
    for row in ROWS:
        url = Peer(loop, row.frames, **row.more).url
        asked = get(url, name=row.sentence, timeout=0.7 if LATE in row.ends else 30)
        if row.sends:  # more than the windows let out
            asked |= {"method": "post", "data": "x" * 100_000}
        steps.append({"batch": [asked] * AT_ONCE} if users == 1 else asked)
        if users == 1 and not row.more["every"]:  # of several, one may go on while the connection breaks under the others
            steps.append(get(url, name="behind", timeout=30))
    detail = {"user": "fast_http_user", "http_version": 2, "streams": AT_ONCE}
    with MemoryWatch(tmp_path / "runs") as memory:
        done = load(tmp_path, steps, user_detail_dict=detail, user_count=users, test_time=300, max_body_bytes=100_000)
    assert done.error is None, done.error
    found: dict[str, Counter[Outcome]] = {}
    for hit in done.hits:
        found.setdefault(hit.name, Counter())[hit.outcome] += 1
    behind = found.pop("behind", Counter())
    texts = {(hit.name, hit.error) for hit in done.hits}
    wrong = {
        row.sentence: (found.get(row.sentence), [text for name, text in texts if name == row.sentence])
        for row in ROWS
        if found.get(row.sentence) != row.ends
    }
    assert wrong == {}
    assert behind == ({Outcome.OK: sum(not row.more["every"] for row in ROWS)} if users == 1 else {})
    assert max(second.health.lag_ms for second in done.run.seconds()) < MOST_LAG_MS
    origin_ns = read_header(done.run.hits_path(0)).origin_monotonic_ns
    grown = memory.grown(origin_ns + int(done.rows["start_ns"].min()), origin_ns + int(done.rows["end_ns"].max()))
    assert 0 < grown < MOST_MEMORY_MB * 2**20
