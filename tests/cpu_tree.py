"""CPU seconds of this process and all below it, whoever waited for them.

A process that is waited for leaves its seconds to its parent, so that their sum over a tree is kept as long as each parent lives longer.
What loses its parent is remembered, and counts on; what ends unseen in between is lost.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CpuTree", "Row", "row_of", "rows"]

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PARENT, CPU, STARTED = 4, (14, 15, 16, 17), 22  # fields of /proc/PID/stat, proc(5)


@dataclass(frozen=True, slots=True)
class Row:
    """`started`: in ticks since boot; a pid that is used again has another. `ticks`: its own, and those of children that it waited for."""

    parent: int
    started: int
    ticks: int


class CpuTree:
    """Below the process `root`."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._seen: dict[int, Row] = {}
        self._gone = 0  # ticks of what had no parent to leave them to

    def total_s(self, now: Mapping[int, Row]) -> float:
        """Of all until now; it never grows smaller."""
        own = self._below(now)
        ended = {pid: row for pid, row in self._seen.items() if pid not in own or own[pid].started != row.started}
        self._gone += sum(row.ticks for row in ended.values() if row.parent not in own and row.parent not in ended)
        self._seen = own
        return (self._gone + sum(row.ticks for row in own.values())) / TICKS_PER_S

    def _below(self, now: Mapping[int, Row]) -> dict[int, Row]:
        children: dict[int, list[int]] = {}
        for pid, row in now.items():
            children.setdefault(row.parent, []).append(pid)
        kept = [pid for pid, row in self._seen.items() if pid in now and now[pid].started == row.started]
        found: dict[int, Row] = {}
        waiting = [self._root, *kept]
        while waiting:
            pid = waiting.pop()
            if pid not in found and pid in now:
                found[pid] = now[pid]
                waiting += children.get(pid, [])
        return found


def rows() -> dict[int, Row]:
    """Of every process of the machine, by its pid."""
    found = {}
    for name in os.listdir("/proc"):  # noqa: PTH208  many, and often
        if name.isdigit():
            with contextlib.suppress(OSError):
                found[int(name)] = row_of(Path("/proc", name, "stat").read_text(encoding="utf-8", errors="replace"))
    return found


def row_of(stat: str) -> Row:
    """The name of a program, in parentheses, may hold spaces and parentheses."""
    after_name = stat.rpartition(")")[2].split()

    def field(number: int) -> int:
        return int(after_name[number - 3])

    return Row(field(PARENT), field(STARTED), sum(field(one) for one in CPU))
