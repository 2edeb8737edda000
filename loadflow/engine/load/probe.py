"""How the engine process itself is doing."""

from __future__ import annotations

import time

import psutil

from loadflow.engine.records.health import Health

__all__ = ["ProcessProbe"]

SHARE_OF_NS = 100_000_000  # less time than that has no share of the CPU worth the name: a look at it is then all that was done


class ProcessProbe:
    """CPU, memory and files of this process since the last question."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._cpu_ns = time.process_time_ns()
        self._wall_ns = time.monotonic_ns()
        self._share: float | None = None

    def health(self, users: int, in_flight: int, lag_ms: float) -> Health:
        cpu_ns, wall_ns = time.process_time_ns(), time.monotonic_ns()
        if self._share is None or wall_ns - self._wall_ns >= SHARE_OF_NS:
            self._share = round((cpu_ns - self._cpu_ns) / max(1, wall_ns - self._wall_ns), 4)
            self._cpu_ns, self._wall_ns = cpu_ns, wall_ns
        return Health(users, in_flight, self._share, round(lag_ms, 3), self._process.memory_info().rss, self._process.num_fds())
