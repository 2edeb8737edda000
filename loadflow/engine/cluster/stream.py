"""A worker's files on their way to the master: the file on the worker's disk is the queue, so nothing is lost and memory is bounded.

The parts of a batch stand in an order in which the master can use each of its beginnings: names, samples and spans before the
rows that use them, rows before the message that tells of them. A part that was sent twice is taken once: parts carry their offsets.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

__all__ = ["BATCH_BYTES", "FILES", "Inbox", "Outbox", "Part"]

FILES = ("names", "samples", "spans", "hits", "said")
BATCH_BYTES = 512 * 1024  # one is on its way at a time: at 100 ms there and back that is 100,000 hits a second

Part = tuple[str, int, bytes]  # file, offset, bytes


class Outbox:
    """The worker's side: what of its files the master does not have yet."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = paths
        self._arrived = dict.fromkeys(FILES, 0)

    def batch(self) -> list[Part]:
        """What to send now; empty when all that is on disk has arrived."""
        # measured backwards: whatever a message tells of is in the files that are measured after it
        sizes = {name: self._size(name) for name in reversed(FILES)}
        parts: list[Part] = []
        room = BATCH_BYTES
        for name in FILES:
            wanted = sizes[name] - self._arrived[name]
            if wanted > 0:
                part = self._read(name, min(wanted, room))
                parts.append((name, self._arrived[name], part))
                room -= len(part)
            if wanted > 0 and (room <= 0 or len(part) < wanted):
                break  # what comes after may tell of what is not in this batch
        return parts

    def arrived(self, offsets: Mapping[str, int]) -> None:
        """The master has each file up to these bytes."""
        for name in FILES:
            self._arrived[name] = max(self._arrived[name], min(int(offsets[name]), self._size(name)))

    @property
    def is_empty(self) -> bool:
        return all(self._arrived[name] >= self._size(name) for name in FILES)

    def _size(self, name: str) -> int:
        path = self._paths[name]
        return path.stat().st_size if path.exists() else 0

    def _read(self, name: str, count: int) -> bytes:
        with self._paths[name].open("rb") as file:
            file.seek(self._arrived[name])
            return file.read(count)


class Inbox:
    """The master's side of one worker: appends what arrives to the files of the run folder; `said` are lines to be obeyed."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._files: dict[str, BinaryIO] = {}
        self._paths = paths
        self._said = b""
        self.offsets = dict.fromkeys(FILES, 0)

    def take(self, parts: list[Part]) -> list[str]:
        """The messages that became whole by it. A part beyond what is known is left for later: it will be sent again."""
        for name, offset, data in parts:
            known = self.offsets[name]
            if offset > known:
                break
            new = data[known - offset :]
            if name == "said":
                self._said += new
            elif new:
                self._append(name, new)
            self.offsets[name] += len(new)
        *lines, self._said = self._said.split(b"\n")
        return [line.decode(errors="replace") for line in lines]

    def close(self) -> None:
        for file in self._files.values():
            file.close()

    def _append(self, name: str, data: bytes) -> None:
        """Unbuffered: the parent reads the file as soon as a message tells of it."""
        if name not in self._files:
            self._files[name] = os.fdopen(os.open(self._paths[name], os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644), "wb", 0)
        view = memoryview(data)
        while view:
            view = view[self._files[name].write(view) :]
