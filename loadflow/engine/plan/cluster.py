"""How a load is shared between machines, as values: what `runner_mode` and the keys beside it ask for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["MASTER_PORT", "Cluster"]

MASTER_PORT = 5557  # Locust's


@dataclass(frozen=True, slots=True)
class Cluster:
    """`host` and `port`: where the master listens, or where a worker finds it. Times in seconds.

    `expected`: the worker processes that share the load, which begins when all are there, or after `startup_s`, if `degraded`.
    """

    mode: Literal["master", "worker"]
    host: str
    port: int
    token: str
    expected: int
    startup_s: float
    beat_s: float
    lost_s: float
    degraded: bool

    def rules(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if key not in ("mode", "host", "port", "token")}
