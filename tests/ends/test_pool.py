"""A load made by agents in a Prefect work pool: each a flow run below the load's own; what its end, its loss and a cancel do."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from loadflow.engine.base.verdict import VerdictKind
from tests.ends.deploying import TOP, python
from tests.ends.pools import SECRET, agents_end, books, keep_token, worker_states, workers
from tests.ends.processes import Stage
from tests.prefect_servers import ASK_S, START_S
from tests.waiting import HANG_S, wait_for

pytestmark = [pytest.mark.processes, pytest.mark.prefect]

STILL_S = 5.0


@pytest.fixture
def pool(on_stage: Stage) -> Iterator[Stage]:
    """A pool of the stage's name, without a worker, and a Secret block with the token of the load's own NATS server."""
    on_stage.server.ask("POST", "/work_pools/", {"name": on_stage.name, "type": "process", "base_job_template": {}})
    keep_token(on_stage)
    yield on_stage


def load(pool: Stage, **more: Any) -> list[Any]:
    return pool.script(workers=workers(pool), allow_gap=True, user_count=4, spawn_rate=100, **more)


def agents_of(pool: Stage) -> list[psutil.Process]:
    """The processes that the worker has started for flow runs."""
    worker = pool.processes("worker")[0].pid
    return [one for one in pool.processes("prefect") if one.ppid() == worker]


def page(pool: Stage) -> str:
    """The load's page in Prefect."""

    def look() -> str | None:
        key = {"like_": f"loadflow-{pool.name[:60].strip('-')}"}
        found = pool.server.ask("POST", "/artifacts/filter", {"artifacts": {"type": {"any_": ["markdown"]}, "key": key}})
        return next((str(one["data"]) for one in found if "Agents" in str(one["data"])), None)

    return wait_for("the page of the load", look, START_S, every_s=ASK_S)


def test_agents_are_flow_runs(pool: Stage) -> None:
    """Without a worker they are called off; with one each makes its share, and the load's page leads to them."""
    process = pool.start_flow(load(pool, test_time=5, worker_startup_timeout=3))
    assert process.wait(timeout=HANG_S) != 0
    assert "0 of 2 shares had an agent within 3 s" in pool.log("flow")
    assert f"no worker of the work pool {pool.name} was heard of lately" in pool.log("flow")
    agents_end(pool, "Cancelled", "Cancelled")
    (first,) = pool.runs_dir.glob("*/")

    pool.start_worker(pool.name)
    process = pool.start_flow(load(pool, test_time=None, iterations=20))
    assert process.wait(timeout=HANG_S) == 0, pool.log("flow") + pool.log("worker")
    assert len(pool.arrivals_ns()) == 80
    (folder,) = [one for one in pool.runs_dir.glob("*/") if one != first]
    summary = pool.run(folder).summary()
    assert summary.verdict.kind is VerdictKind.PASSED
    assert [(one.state, one.hits) for one in summary.workers] == [("finished", 40), ("finished", 40)]
    ended = agents_end(pool, "Cancelled", "Cancelled", "Completed", "Completed")
    runs = [run for run in ended if run["state"]["name"] == "Completed"]
    assert sorted(run["name"] for run in runs) == [f"agent {number} of 2 · {pool.name}" for number in (1, 2)]
    assert sorted(one.flow_run for one in summary.workers) == sorted(run["id"] for run in runs)
    # each says which share it made, and is below the flow run of the load
    assert sorted(run["state"]["message"] for run in runs) == [f"1 share ({number}), 40 hits, all received" for number in (1, 2)]
    (above,) = {pool.server.ask("GET", f"/task_runs/{run['parent_task_run_id']}")["flow_run_id"] for run in runs}
    assert pool.server.ask("GET", f"/flow_runs/{above}")["state"]["message"].startswith("passed: 80 requests")
    said = sorted(run["state"]["message"] for run in runs)
    of_agents = {"artifacts": {"flow_run_id": {"any_": [run["id"] for run in runs]}}}

    def shown() -> list[str]:
        found = pool.server.ask("POST", "/artifacts/filter", of_agents)
        return sorted(one["description"] for one in found if one["type"] == "progress")

    wait_for("the progress of the agents that says how they ended", lambda: shown() == said, START_S, every_s=ASK_S)
    text = page(pool)
    assert all(f"/flow-run/{run['id']}" in text for run in runs), text
    # what lets an agent in is in no parameter, and on no command line
    assert SECRET not in json.dumps([runs, pool.server.ask("POST", "/deployments/filter", {})])


@pytest.mark.long
def test_a_killed_agent_leaves_honest_books(pool: Stage) -> None:
    """What it sent and had not delivered is lost; the verdict says from when on, and that the load was not the one that was asked for."""
    pool.start_worker(pool.name)
    process = pool.start_flow(pool.rate_script(50, 40, workers=workers(pool)))
    pool.wait_for_load(200)
    victim, _ = agents_of(pool)
    victim.kill()
    assert process.wait(timeout=HANG_S) != 0
    summary = books(pool, 2000)
    assert summary.passes.lost > 0
    assert summary.verdict.kind is VerdictKind.INCONCLUSIVE
    (lost,) = (one for one in summary.workers if one.state == "lost")
    assert f"worker {lost.id} on {lost.host} was lost" in summary.verdict.reasons[0]
    assert f"its hits from {lost.recorded_s:.1f} s on may be missing" in summary.verdict.reasons[0]
    assert sorted(run["id"] for run in agents_end(pool, "Completed", "Crashed")) == sorted({one.flow_run for one in summary.workers})


@pytest.mark.long
def test_an_agent_whose_container_is_stopped_delivers_and_another_goes_on(pool: Stage) -> None:
    """Without a container: the process that runs a flow in one, told to end as `docker stop` and a drained machine do."""
    template = json.loads((TOP / "deployments" / "work-pools" / "process.json").read_text())
    pool.server.ask("PATCH", f"/work_pools/{pool.name}", {"base_job_template": template})
    command = f"command={sys.executable} -m prefect flow-run execute"
    python(pool, "-m", "loadflow", "deploy", "--agent", "--pool", pool.name, "--job-variable", command)
    pool.start_worker(pool.name)
    process = pool.start_flow(pool.rate_script(50, 30, workers=workers(pool)))
    pool.wait_for_load(200)
    agents_of(pool)[0].terminate()
    process.wait(timeout=HANG_S)
    summary = books(pool, 1500)
    assert summary.overall.count == len(pool.arrivals_ns())
    assert worker_states(summary) == [("finished", False), ("finished", True), ("left", False)]
    agents_end(pool, "Cancelled", "Completed")


def test_a_killed_agent_is_taken_over_and_a_cancelled_load_ends_all(pool: Stage) -> None:
    pool.start_worker(pool.name)
    process = pool.start_flow(load(pool, test_time=600))
    pool.wait_for_load(40)
    first, _ = agents_of(pool)
    first.kill()
    wait_for("the share in other hands", lambda: [one for one in pool.run().workers() if one.from_s], START_S)
    pool.wait_for_load(len(pool.arrivals_ns()) + 40)
    parent = pool.server.flow_run(name=pool.name)
    assert parent is not None
    ended_ns = time.monotonic_ns()
    pool.server.set_state(parent["id"], "CANCELLING")
    pool.no_engine(within_s=2 * STILL_S)
    assert max(pool.arrivals_ns()) < ended_ns + STILL_S * 1e9
    process.wait(timeout=HANG_S)
    agents_end(pool, "Crashed", "Cancelled")
    summary = pool.run().summary()
    assert summary.verdict.kind is VerdictKind.INTERRUPTED
    states = {str(one.state) for one in summary.workers}
    assert "lost" in states
    assert states <= {"lost", "finished", "left"}, states  # by who hears of the cancel first
    # what the killed one had not delivered is on its disk
    assert 0 < summary.overall.count <= len(pool.arrivals_ns())


@pytest.mark.long
def test_agents_make_the_shares_of_all_populations(pool: Stage) -> None:
    """Each population orders agents of its own; all meet at one server of the test's, and begin at once."""
    pool.start_worker(pool.name)
    (command, test), *_ = pool.script(test_time=None, iterations=5, user_count=4, spawn_rate=100)
    shared = {key: value for key, value in test.items() if key != "tasks"}
    workers = {"pool": pool.name, "count": 1, "block": pool.name}
    populations = [{"name": name, "tasks": test["tasks"]} for name in ("browse", "buy")]
    process = pool.start_flow([[command, {**shared, "populations": populations, "workers": workers}]])
    assert process.wait(timeout=HANG_S) == 0, pool.log("flow") + pool.log("worker")
    assert len(pool.arrivals_ns()) == 40
    runs = [pool.run(folder) for folder in pool.runs_dir.glob("*/")]
    assert sorted(run.facts.population for run in runs) == ["browse", "buy"]
    for run in runs:
        assert [(one.state, one.hits) for one in run.summary().workers] == [("finished", 20)]
    ended = agents_end(pool, "Completed", "Completed")
    assert sorted(run["name"] for run in ended) == [f"agent 1 of 1 · {pool.name}: {name}" for name in ("browse", "buy")]
