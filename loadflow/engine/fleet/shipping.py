"""What an agent recorded, on its way into the run folder: the file on the agent's disk is the queue, and each byte arrives once.

A part is (file, offset, bytes). The parts of an agent come in an order of which every beginning can be used: names, samples and spans
before the rows that use them, rows before the message that counts them. The receiver's truth is the size of its own file: what it has
is dropped, what would leave a gap is not taken, and the sender starts again where the receiver says that it is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from loadflow.engine.base.private import FILE_MODE
from loadflow.engine.base.regular_file import open_regular
from loadflow.engine.fleet.subjects import PART_BYTES
from loadflow.engine.records.hitlog import HEADER, HIT_DTYPE

if TYPE_CHECKING:
    from loadflow.engine.records.run import Run

__all__ = ["SAID", "WINDOW", "Incoming", "Outgoing", "Part", "Room", "files_in", "files_of", "moved"]

KINDS = ("log", "names", "samples", "spans", "hits")  # in the order they travel; then what was said
SAID = "said"
WINDOW = 8  # parts on their way at a time: 4 MB; at 100 ms there and back that is 800,000 hits a second


@dataclass(frozen=True, slots=True)
class Part:
    file: str
    offset: int
    data: bytes


def files_of(loops: int) -> tuple[str, ...]:
    """The names that the files of an engine process have on their way, `log`, then `hits.0` and so on, `said` last.

    >>> files_of(1)
    ('log', 'names.0', 'samples.0', 'spans.0', 'hits.0', 'said')
    """
    return ("log", *(f"{kind}.{loop}" for kind in KINDS[1:] for loop in range(loops)), SAID)


def files_in(run: Run, number: int, epoch: int, logs: Sequence[int], *, first: bool) -> dict[str, Path]:
    """Where they are in the run folder; `logs`: the numbers of the loops' logs there; `first`: the share had no agent before."""
    log = run.log_path(number)
    paths = {
        "log": log if first else log.with_name(f"engine-{number}-{epoch}.log"),
        SAID: run.folder / f"said-{number}-{epoch}.ndjson",
    }
    for place, own in enumerate(logs):
        paths[f"hits.{place}"] = run.hits_path(own)
        paths[f"names.{place}"] = run.names_path(own)
        paths[f"samples.{place}"] = run.samples_path(own)
        paths[f"spans.{place}"] = run.spans_path(own)
    return {name: paths[name] for name in files_of(len(logs))}


class Room:
    """How many bytes may be on their way at a time, so that the way is free again soon: what an agent says of itself travels on it, too,
    and may not come too late because of rows.

    >>> room = Room()
    >>> room.took(room.most_bytes, 1.0)  # a link of 16 KB/s
    >>> room.most_bytes
    8192
    """

    LEAST, FIRST, MOST = 4_096, 16 * 1024, WINDOW * PART_BYTES
    SOON_S = 0.5

    def __init__(self) -> None:
        self.most_bytes = self.FIRST

    def took(self, sent_bytes: int, wait_s: float) -> None:
        """How many bytes had been taken after `wait_s`."""
        if wait_s > self.SOON_S:
            self.most_bytes = max(self.LEAST, min(self.most_bytes, round(sent_bytes / wait_s * self.SOON_S)))
        elif sent_bytes > self.most_bytes // 2:
            self.most_bytes = min(self.MOST, 2 * self.most_bytes)


class Outgoing:
    """The agent's side. `paths`: where each file of `files_of` is, in that order; `from_ns`: what is added to the times of rows."""

    def __init__(self, paths: Mapping[str, Path], from_ns: int = 0) -> None:
        self._paths = dict(paths)
        self._from_ns = from_ns
        self._sent = dict.fromkeys(self._paths, 0)
        self._there = dict.fromkeys(self._paths, 0)

    def next_parts(self, *, rows: bool = True, most_bytes: int = Room.MOST) -> list[Part]:
        """What to send now, at most `WINDOW` parts and `most_bytes`; empty when all that is on disk was sent. Without `rows` only what was
        said: a shard that is lost before its load has begun leaves no records.
        """
        # measured backwards: everything that a message counts is in the files that are measured after it
        sizes = {name: self._size(name) for name in reversed(self._paths)}
        parts: list[Part] = []
        for name in self._paths if rows else (SAID,):
            while self._sent[name] < sizes[name]:
                if len(parts) == WINDOW or most_bytes < Room.LEAST:
                    return parts
                part = self._read(name, sizes[name], most_bytes)
                most_bytes -= len(part.data)
                if not part.data:
                    break
                parts.append(part)
                self._sent[name] += len(part.data)
        return parts

    def not_sent(self, parts: Sequence[Part]) -> None:
        """The server did not take these, the first of which decides where to start again."""
        for part in parts:
            self._sent[part.file] = min(self._sent[part.file], part.offset)

    def arrived(self, sizes: Mapping[str, int]) -> bool:
        """The receiver has each file up to these bytes; returns whether it got further by it."""
        further = False
        for name in self._paths:
            size = int(sizes.get(name, 0))
            further = further or size > self._there[name]
            self._there[name] = max(self._there[name], size)
            self._sent[name] = max(self._sent[name], self._there[name])
        return further

    def again(self) -> None:
        """Start again where the receiver is."""
        self._sent = dict(self._there)

    @property
    def is_over(self) -> bool:
        """Whether the receiver has all that is on disk, but for the last words of the engine's log."""
        return all(self._there[name] >= self._size(name) for name in self._paths if name != "log")

    @property
    def all_sent(self) -> bool:
        return all(self._sent[name] >= self._size(name) for name in self._paths)

    def _size(self, name: str) -> int:
        """Without a row that is not whole."""
        try:
            size = self._paths[name].stat().st_size
        except FileNotFoundError:
            size = 0
        if name.startswith("hits."):
            return 0 if size < HEADER.size else size - (size - HEADER.size) % HIT_DTYPE.itemsize
        return size

    def _read(self, name: str, size: int, most_bytes: int) -> Part:
        offset = self._sent[name]
        wanted = min(size - offset, PART_BYTES, most_bytes)
        if name.startswith("hits."):
            # whole rows, whose times can be changed
            wanted = HEADER.size if offset == 0 else wanted - wanted % HIT_DTYPE.itemsize
            offset = offset if offset < HEADER.size else offset - (offset - HEADER.size) % HIT_DTYPE.itemsize
            self._sent[name] = offset
        with open_regular(self._paths[name], "rb") as file:
            file.seek(offset)
            data: bytes = file.read(wanted)
        if self._from_ns and name.startswith("hits."):
            data = moved(data, offset, self._from_ns)
        return Part(name, offset, data)


def moved(data: bytes, offset: int, from_ns: int) -> bytes:
    """The header or whole rows of a hit log whose origin was `from_ns` after the run's, with the run's as theirs."""
    if offset == 0:
        magic, version, row, shard, reserved, unix_ns, monotonic_ns = HEADER.unpack(data)
        return HEADER.pack(magic, version, row, shard, reserved, unix_ns - from_ns, monotonic_ns - from_ns)
    rows = np.frombuffer(data, dtype=HIT_DTYPE).copy()
    for name in ("due_ns", "start_ns", "end_ns"):
        rows[name] += from_ns
    rows["first_byte_ns"][rows["first_byte_ns"] > 0] += from_ns
    return rows.tobytes()


class Incoming:
    """The coordinator's side of one shard and epoch: appends what arrives to `paths`; what was said is kept beside, too, and given."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = dict(paths)
        self._files: dict[str, int] = {}
        self.sizes = {name: path.stat().st_size if path.exists() else 0 for name, path in self._paths.items()}
        self._line = b""

    def said_so_far(self) -> list[str]:
        """What was said before this object was: of a run that is resumed."""
        path = self._paths[SAID]
        data = path.read_bytes() if path.exists() else b""
        *lines, self._line = data.split(b"\n")
        return [line.decode(errors="replace") for line in lines]

    def take(self, part: Part) -> list[str] | None:
        """The messages that became whole by it. None: bytes before it are missing, so it was not taken. Raises OSError of the disk, and
        KeyError for a file that there is not."""
        known = self.sizes[part.file]
        if part.offset > known:
            return None
        new = part.data[known - part.offset :]
        if new:
            self._append(part.file, new)
            self.sizes[part.file] = known + len(new)
        if part.file != SAID:
            return []
        *lines, self._line = (self._line + new).split(b"\n")
        return [line.decode(errors="replace") for line in lines]

    def close(self) -> None:
        for fd in self._files.values():
            os.close(fd)
        self._files = {}

    def _append(self, name: str, data: bytes) -> None:
        """Unbuffered: the parent reads the file as soon as a message counts it."""
        if name not in self._files:
            self._files[name] = os.open(self._paths[name], os.O_WRONLY | os.O_CREAT | os.O_APPEND, FILE_MODE)
        view = memoryview(data)
        while view:
            view = view[os.write(self._files[name], view) :]
