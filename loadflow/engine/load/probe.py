"""How the engine process itself is doing."""

from __future__ import annotations

import time

import psutil

from loadflow.engine.records.snapshot import Health

__all__ = ["ProcessProbe"]


class ProcessProbe:
    """CPU, memory and files of this process since the last question."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._cpu_ns = time.process_time_ns()
        self._wall_ns = time.monotonic_ns()

    def health(self, users: int, in_flight: int, lag_ms: float) -> Health:
        cpu_ns, wall_ns = time.process_time_ns(), time.monotonic_ns()
        share = (cpu_ns - self._cpu_ns) / max(1, wall_ns - self._wall_ns)
        self._cpu_ns, self._wall_ns = cpu_ns, wall_ns
        return Health(users, in_flight, round(share, 4), round(lag_ms, 3), self._process.memory_info().rss, self._process.num_fds())
