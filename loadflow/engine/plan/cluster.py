"""How a load is shared between machines, as values: what `workers` or `runner_mode` of a script, or `--workers` and the options beside it,
ask for."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DELIVERY_S", "LOST_S", "MASTER_PORT", "POOL_STARTUP_S", "STARTUP_S", "Cluster", "PoolOrder", "Workers"]

MASTER_PORT = 5557  # Locust's
STARTUP_S = 60.0
POOL_STARTUP_S = 300.0  # a pool may start a machine first, or fetch an image
LOST_S = 6.0
DELIVERY_S = 600.0  # for the hits of an agent over a slow link, once its load is over


@dataclass(frozen=True, slots=True)
class Cluster:
    """`url`: of a NATS server that others run, with a file of `credentials`, if need be; None: the load starts one of its own, which
    listens on `host` and `port` (0: a free one), and lets those in who have the `token` ("": a new one, for the agents it starts itself).

    `expected`: the shares of the load, of which each agent makes one or more; it begins when all have an agent, or after `startup_s`, if
    `degraded`. `children`: agents that are started on this machine; `pool`: a work pool that starts them, by the secret named `block`.
    Times in seconds.
    """

    expected: int
    url: str | None = None
    credentials: str | None = None
    host: str = "127.0.0.1"
    port: int = 0
    token: str = ""
    children: int = 0
    pool: str = ""
    block: str = ""
    startup_s: float = STARTUP_S
    lost_s: float = LOST_S
    delivery_s: float = DELIVERY_S
    degraded: bool = False


@dataclass(frozen=True, slots=True)
class Workers:
    """Which agents make a load. `url` and `credentials` as of a `Cluster`; `listen`: host and port at which the load's own server
    is to be reached; `pool`: who starts the agents, and `block`, how they get in; `external`: somebody else starts them."""

    count: int
    url: str | None = None
    credentials: str | None = None
    listen: tuple[str, int] | None = None
    pool: str = ""
    block: str = ""
    external: bool = False


@dataclass(frozen=True, slots=True)
class PoolOrder:
    """What a work pool is to start: `count` agents for the run `run` (`title`: for people), each with `slots` shares at a time.

    `url`: the NATS server, without a user or a password. `own`: the load has started it, and who has the token gets in. `block`: the name
    of the secret from which agents learn how to get in; "": their environment says it.
    """

    pool: str
    count: int
    slots: int
    run: str
    title: str
    url: str
    own: bool
    block: str
