"""What an agent recorded arrives once and whole, in whatever order its parts come, and however often."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest

from loadflow.engine.fleet.shipping import SAID, Incoming, Outgoing, Part, Room, files_of, moved
from loadflow.engine.fleet.subjects import PART_BYTES
from loadflow.engine.records.hitlog import HEADER, HIT_DTYPE, HitLogWriter, read_header, read_rows


def paths(folder: Path, loops: int = 1) -> dict[str, Path]:
    folder.mkdir(exist_ok=True)
    return {name: folder / name for name in files_of(loops)}


def log(path: Path, rows: int) -> None:
    writer = HitLogWriter(path, shard=0, origin_unix_ns=10**18, origin_monotonic_ns=10**12)
    for number in range(rows):
        writer.append(number, number + 1, number + 2, 1, 0, 0, 5, 7, 200, 0, 0)
    writer.close()


@pytest.mark.parametrize("seed", range(5))
def test_every_byte_arrives_once_however_parts_are_lost_doubled_and_mixed(seed: int, tmp_path: Path) -> None:
    random = Random(seed)
    here, there = paths(tmp_path / "agent"), paths(tmp_path / "coordinator")
    log(here["hits.0"], 30_000)
    here["names.0"].write_bytes(random.randbytes(700_000))
    here[SAID].write_text("".join(f"line {number}\n" for number in range(2000)))
    outgoing, incoming = Outgoing(here), Incoming(there)
    lines: list[str] = []
    while not outgoing.is_over:
        parts = outgoing.next_parts()
        if not parts:
            outgoing.again()
        if parts and random.random() < 0.2:
            outgoing.not_sent(parts[random.randrange(len(parts)) :])
        kept = [part for part in parts if random.random() < 0.7]
        for part in random.sample(kept * 2, len(kept) * 2) if random.random() < 0.5 else kept:
            lines += incoming.take(part) or []
        outgoing.arrived(incoming.sizes)
    incoming.close()
    assert all(there[name].read_bytes() == here[name].read_bytes() for name in ("hits.0", "names.0", SAID))
    assert lines == [f"line {number}" for number in range(2000)]


def test_rows_come_before_the_message_that_counts_them(tmp_path: Path) -> None:
    here = paths(tmp_path / "agent", 2)
    for name in here:
        if name.startswith("hits."):
            log(here[name], 3)
        else:
            here[name].write_text("x\n")
    order = [part.file for part in Outgoing(here).next_parts()]
    assert order == ["log", "names.0", "names.1", "samples.0", "samples.1", "spans.0", "spans.1", "hits.0"]
    assert [part.file for part in Outgoing(here).next_parts(rows=False)] == [SAID]


def test_a_row_that_is_not_whole_waits(tmp_path: Path) -> None:
    here = paths(tmp_path / "agent")
    log(here["hits.0"], 2)
    with here["hits.0"].open("ab") as file:
        file.write(b"torn")
    outgoing = Outgoing(here)
    assert sum(len(part.data) for part in outgoing.next_parts()) == HEADER.size + 2 * HIT_DTYPE.itemsize


def test_the_times_of_a_share_that_was_taken_over_are_the_runs(tmp_path: Path) -> None:
    here, there = paths(tmp_path / "agent"), paths(tmp_path / "coordinator")
    rows = 2 * PART_BYTES // HIT_DTYPE.itemsize
    log(here["hits.0"], rows)
    outgoing, incoming = Outgoing(here, from_ns=7 * 10**9), Incoming(there)
    while parts := outgoing.next_parts():
        for part in parts:
            incoming.take(part)
    incoming.close()
    got = read_rows(there["hits.0"], 0, rows)
    assert len(got) == rows
    assert np.array_equal(got["due_ns"], np.arange(rows) + 7 * 10**9)
    assert read_header(there["hits.0"]).origin_unix_ns == 10**18 - 7 * 10**9


def test_a_receiver_that_begins_anew_goes_on_with_what_is_on_its_disk(tmp_path: Path) -> None:
    there = paths(tmp_path / "coordinator")
    first = Incoming(there)
    assert first.take(Part(SAID, 0, b"one\ntw")) == ["one"]
    first.close()
    second = Incoming(there)
    assert second.said_so_far() == ["one"]
    assert second.take(Part(SAID, 9, b"!")) is None
    assert second.take(Part(SAID, 2, b"e\ntwo\n")) == ["two"]


def test_nothing_is_moved_by_nothing() -> None:
    row = bytes(HIT_DTYPE.itemsize)
    assert moved(row, HEADER.size, 0) == row


def test_what_is_on_its_way_at_a_time_fits_the_link() -> None:
    """From 16 KB on it doubles while the way is quick; on a slow one it is what half a second carries."""
    room = Room()
    for _ in range(20):
        room.took(room.most_bytes, 0.01)
    assert room.most_bytes == Room.MOST == 8 * PART_BYTES
    for _ in range(5):
        room.took(room.most_bytes, room.most_bytes / 60_000)
    assert room.most_bytes == 30_000
    room.took(100, 0.01)  # little says nothing
    assert room.most_bytes == 30_000
    for _ in range(5):
        room.took(room.most_bytes, 5.0)  # as refused, or late, as can be
    assert room.most_bytes == Room.LEAST


def test_parts_are_no_more_than_the_room_for_them(tmp_path: Path) -> None:
    here = paths(tmp_path / "agent")
    log(here["hits.0"], 10_000)
    outgoing = Outgoing(here)
    sizes = []
    while parts := outgoing.next_parts(most_bytes=10_000):
        sizes.append(sum(len(part.data) for part in parts))
    assert sum(sizes) == HEADER.size + 10_000 * HIT_DTYPE.itemsize
    assert max(sizes) <= 10_000
