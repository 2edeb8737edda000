"""Agents of a load in a work pool: each a run of the deployment `loadflow-agent/POOL`, below the flow run of the load."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import StateType, WorkPoolStatus
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.logging.loggers import LoggingAdapter
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelled
from prefect.utilities.urls import url_for

from loadflow.engine.base.counted import counted
from loadflow.engine.base.json_value import JsonMapping
from loadflow.engine.plan.cluster import PoolOrder
from loadflow.errors import RunError
from loadflow.flows.agent_run import AGENT_FLOW, agent_run
from loadflow.flows.cancels import API_TROUBLE

__all__ = ["agents_in_pool", "deploy_agent"]

Logger = logging.Logger | LoggingAdapter
CALL_OFF_S = 10.0
TAG = "loadflow"  # the automations look at runs with this tag
ENVIRONMENT = {
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",  # see deploying.py
    # in a container: who was asked to end is not started again, as Kubernetes' worker would
    "PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR": "relinquish",
}
RUNS_VOLUME = "runs_volume"  # a variable of deployments/work-pools/kubernetes.json
NO_RUNS = {"name": "runs", "emptyDir": {}}  # agents keep no run folder, and a claim may be for one machine only


def deploy_agent(
    client: SyncPrefectClient, pool: str, *, queue: str | None = None, job_variables: JsonMapping | None = None, tags: Iterable[str] = ()
) -> str:
    """Make, or replace, the deployment by which loads start their agents in this pool; the name that Prefect calls it by."""
    variables = client.read_work_pool(pool).base_job_template.get("variables", {}).get("properties", {})
    given = {**({RUNS_VOLUME: NO_RUNS} if RUNS_VOLUME in variables else {}), **(job_variables or {})}
    client.create_deployment(
        flow_id=client.create_flow(agent_run),
        name=pool,
        description="Agents of loads: started by runs whose script says workers.pool, not by people.",
        tags=list(dict.fromkeys([TAG, *tags])),
        entrypoint=f"{agent_run.fn.__module__}.{agent_run.fn.__name__}",  # dots only: Prefect then copies no folder
        parameter_openapi_schema=agent_run.parameters.model_dump_for_openapi(),
        work_pool_name=pool,
        work_queue_name=queue,
        job_variables={**given, "env": {**ENVIRONMENT, **(given.get("env") or {})}},
    )
    return f"{AGENT_FLOW}/{pool}"


@contextmanager
def agents_in_pool(order: PoolOrder, logger: Logger) -> Iterator[None]:
    """Start them; at the end those are called off that no worker has begun. Those that run end by themselves: their run is over.

    Raises RunError where there is no server that a pool could work for, or no such pool.
    """
    if not PREFECT_API_URL.value():
        raise RunError(
            f"the work pool {order.pool!r} can't be asked for agents: PREFECT_API_URL is not set; set it to the server of its worker"
        )
    with get_client(sync_client=True) as client:
        _ready(client, order, logger)
    started: list[UUID] = []
    try:
        for number in range(1, order.count + 1):
            started.append(_start(order, number))
        links = ", ".join(url_for("flow-run", obj_id=one, url_type="ui") or str(one) for one in started)
        logger.info("asked the work pool %s for %s, which join at %s: %s", order.pool, counted(order.count, "agent"), order.url, links)
        yield
    finally:
        _call_off(started, logger)


def _ready(client: SyncPrefectClient, order: PoolOrder, logger: Logger) -> None:
    try:
        pool = client.read_work_pool(order.pool)
    except ObjectNotFound:
        hint = f"prefect work-pool create --type process {order.pool}"
        raise RunError(f"the Prefect server has no work pool {order.pool!r} to start agents in; {hint}") from None
    if pool.status is not WorkPoolStatus.READY:
        logger.warning("no worker of the work pool %s was heard of lately; start one: prefect worker start --pool %s", pool.name, pool.name)
    try:
        client.read_deployment_by_name(f"{AGENT_FLOW}/{order.pool}")
    except ObjectNotFound:
        logger.info("made the deployment %s", deploy_agent(client, order.pool))


def _start(order: PoolOrder, number: int) -> UUID:
    parameters = {
        "run": order.run,
        "nats_url": order.url,
        "number": number,
        "own_server": order.own,
        "block": order.block,
        "slots": order.slots,
    }
    name = f"agent {number} of {order.count} · {order.title}"
    made: Any = run_deployment(f"{AGENT_FLOW}/{order.pool}", parameters=parameters, flow_run_name=name, timeout=0)
    found: UUID = made.id
    return found


def _call_off(started: list[UUID], logger: Logger) -> None:
    """In bounded time: a server that is away must not keep the end of the load."""
    thread = threading.Thread(target=_cancel_scheduled, args=(started, logger), name="loadflow-pool", daemon=True)
    thread.start()
    thread.join(CALL_OFF_S)


def _cancel_scheduled(started: list[UUID], logger: Logger) -> None:
    try:
        with get_client(sync_client=True) as client:
            for one in started:
                state = client.read_flow_run(one).state
                if state is not None and state.type is StateType.SCHEDULED:
                    client.set_flow_run_state(one, Cancelled(message="the load is over"))
    except API_TROUBLE as error:
        logger.warning("agents that did not begin could not be called off (%s); they end by themselves when they do", error)
