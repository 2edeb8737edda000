"""Who or what started a flow run, and by which schedule: for the evidence of its loads."""

from __future__ import annotations

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound

from loadflow.engine.base.json_value import JsonObject
from loadflow.flows.cancels import API_TROUBLE

__all__ = ["started_by"]

REQUEST_S = 5.0


def started_by(flow_run: FlowRun) -> dict[str, object]:
    """Plain JSON values. A server that does not answer costs the deployment's name and schedules, and no more than some seconds."""
    creator = flow_run.created_by
    told: JsonObject = {
        "flow_run": str(flow_run.id),
        "name": flow_run.name,
        "created_by": {"type": str(creator.type or ""), "name": str(creator.display_value or "")} if creator else None,
        "scheduled": bool(flow_run.auto_scheduled),
        "due": flow_run.expected_start_time.isoformat() if flow_run.expected_start_time else None,
        "tags": sorted(flow_run.tags),
    }
    if flow_run.deployment_id is not None:
        told["deployment"] = {"id": str(flow_run.deployment_id)}
        try:
            with get_client(httpx_settings={"timeout": REQUEST_S}, sync_client=True) as client:
                deployment = client.read_deployment(flow_run.deployment_id)
            schedules = [str(one.schedule.model_dump(mode="json", exclude_none=True)) for one in deployment.schedules if one.active]
            told["deployment"] |= {"name": deployment.name, "schedules": schedules, "version": deployment.version}
        except (*API_TROUBLE, ObjectNotFound) as error:
            told["deployment"]["why"] = f"{type(error).__name__}: {error}"
    return {"prefect": told}
