"""What tests of loads by agents in a work pool share: the token, the states of the agents' flow runs, the books of a load with a rate."""

from __future__ import annotations

from typing import Any

from loadflow.engine.records.summary import Summary
from tests.ends.deploying import python
from tests.ends.processes import Stage
from tests.prefect_servers import ASK_S, START_S
from tests.waiting import wait_for

__all__ = ["AGENTS", "SECRET", "agents_end", "books", "keep_token", "worker_states", "workers"]

AGENTS = 2
SECRET = "a token that only the block holds"


def keep_token(on: Stage) -> None:
    """A Secret block of the stage's name, with the token of the load's own NATS server."""
    python(on, "-c", f"from prefect.blocks.system import Secret; Secret(value={SECRET!r}).save({on.name!r})")


def workers(pool: Stage) -> dict[str, Any]:
    """In a script: who makes its load."""
    return {"pool": pool.name, "count": AGENTS, "block": pool.name}


def agents_end(pool: Stage, *states: str) -> list[dict[str, Any]]:
    """The flow runs of the agents, once their states are these."""

    def look() -> list[dict[str, Any]] | None:
        found = pool.server.ask("POST", "/flow_runs/filter", {"deployments": {"name": {"any_": [pool.name]}}})
        same = sorted(run["state"]["name"] for run in found) == sorted(states)
        return found if same else None

    return wait_for(f"agents that are {states}", look, START_S, every_s=ASK_S)


def books(pool: Stage, due: int) -> Summary:
    """Of a load with a rate of which an agent was lost or left: no pass is nowhere, and nothing is recorded that was not sent."""
    summary = pool.run().summary()
    passes = summary.passes
    assert passes.due == due == passes.started + passes.dropped + passes.lost
    assert 0 <= len(pool.arrivals_ns()) - summary.overall.count <= passes.lost
    return summary


def worker_states(summary: Summary) -> list[tuple[str, bool]]:
    """Of each worker its state, and whether it went on with the share of another."""
    return sorted((str(one.state), one.from_s > 0) for one in summary.workers)
