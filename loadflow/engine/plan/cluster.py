"""How a load is shared between machines, as values: what `runner_mode` and the keys beside it, or `--workers` and `--nats-url`, ask for."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LOST_S", "MASTER_PORT", "STARTUP_S", "Cluster", "Workers"]

MASTER_PORT = 5557  # Locust's
STARTUP_S = 60.0
LOST_S = 6.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """`url`: of a NATS server that others run, with a file of `credentials`, if need be; None: the load starts one of its own, which
    listens on `host` and `port` (0: a free one), and lets those in who have the `token` ("": a new one, for the agents it starts itself).

    `expected`: the shares of the load, of which each agent makes one or more; it begins when all have an agent, or after `startup_s`, if
    `degraded`. `children`: agents that are started on this machine. Times in seconds.
    """

    expected: int
    url: str | None = None
    credentials: str | None = None
    host: str = "127.0.0.1"
    port: int = 0
    token: str = ""
    children: int = 0
    startup_s: float = STARTUP_S
    lost_s: float = LOST_S
    degraded: bool = False


@dataclass(frozen=True, slots=True)
class Workers:
    """What was asked for from outside the script, for each of its loads: so many agents, here or at a NATS server."""

    count: int
    url: str | None = None
    credentials: str | None = None
