"""How the engine process itself is doing, and what it gets of the machine.

A look must not fail, above all where the process is short of something: what can't be read is as it was at the last look.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from loadflow.engine.machine.cgroup import CpuGroup, CpuUse, cpu_groups, tightest
from loadflow.engine.records.health import Health

__all__ = ["CpuGrant", "ProcessProbe", "stolen_share"]

SHARE_OF_NS = 100_000_000  # less time than that has no share of the CPU worth the name: a look at it is then all that was done
STAT = Path("/proc/stat")


class CpuGrant:
    """How much of its CPU quota the process's control group used since the last question, and how often it was stopped for it."""

    def __init__(self, groups: Callable[[], list[CpuGroup]] = cpu_groups) -> None:
        self._limit = tightest(groups())
        self._before = self._use()

    def since(self, wall_ns: int, own_ns: int) -> tuple[float, float]:
        """Shares of 1: of the quota that was used, of the group's periods in which it was throttled. 0.0 without a quota.

        `own_ns`: what this process used of the CPU, which is all that is known where the group does not count.
        """
        now, before = self._use(), self._before
        if self._limit is None or now is None or before is None:
            return 0.0, 0.0
        self._before = now
        counted = now.used_ns is not None and before.used_ns is not None
        used_ns = now.used_ns - before.used_ns if counted else own_ns  # type: ignore[operator]
        used = used_ns / max(1, wall_ns) / self._limit[1]
        periods = now.periods - before.periods
        return round(max(0.0, used), 4), round((now.throttled - before.throttled) / periods, 4) if periods > 0 else 0.0

    def _use(self) -> CpuUse | None:
        return self._limit[0].use() if self._limit is not None else None


@dataclass(slots=True)
class _Steal:
    """Times of all cores since the start of the machine, in ticks: those that another guest of the host had, and all."""

    stolen: int = 0
    total: int = 0

    @classmethod
    def read(cls) -> _Steal | None:
        try:
            words = STAT.read_text(encoding="ascii").split("\n", 1)[0].split()
        except (OSError, ValueError):
            return None
        ticks = [int(word) for word in words[1:9]]  # the guests' that follow are in those of users already
        return cls(ticks[7], sum(ticks)) if words[:1] == ["cpu"] and len(ticks) == 8 else None


def stolen_share(before: _Steal | None, now: _Steal | None) -> float:
    """Of the machine's CPU time between two looks, what its host gave to others."""
    if before is None or now is None or now.total <= before.total:
        return 0.0
    return round((now.stolen - before.stolen) / (now.total - before.total), 4)


class ProcessProbe:
    """CPU, memory and files of this process since the last question."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._grant = CpuGrant()
        self._steal = _Steal.read()
        self._cpu_ns = time.process_time_ns()
        self._wall_ns = time.monotonic_ns()
        self._share: float | None = None
        self._of_machine = (0.0, 0.0, 0.0)
        self._sizes = (0, 0)

    def health(self, users: int, in_flight: int, lag_ms: float) -> Health:
        cpu_ns, wall_ns = time.process_time_ns(), time.monotonic_ns()
        if self._share is None or wall_ns - self._wall_ns >= SHARE_OF_NS:
            took_ns = wall_ns - self._wall_ns
            own_ns = cpu_ns - self._cpu_ns
            self._share = round(own_ns / max(1, took_ns), 4)
            self._cpu_ns, self._wall_ns = cpu_ns, wall_ns
            steal = _Steal.read()
            self._of_machine = (*self._grant.since(took_ns, own_ns), stolen_share(self._steal, steal))
            self._steal = steal or self._steal
        with contextlib.suppress(OSError, psutil.Error):  # no file descriptor is left to look with
            self._sizes = (self._process.memory_info().rss, self._process.num_fds())
        quota_used, throttled, stolen = self._of_machine
        return Health(users, in_flight, self._share, round(lag_ms, 3), *self._sizes, quota_used, throttled, stolen)
