"""What a flow run left at Prefect's server, which other tests share: never looked for by a name that theirs may have too."""

from __future__ import annotations

from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId


def stored(flow_run_id: Any) -> dict[str, Any]:
    """The artifacts of that run, by their keys."""
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id])))
    return {artifact.key or "": artifact for artifact in found}


def stored_of(state: Any) -> dict[str, Any]:
    """The artifacts of the flow run that ended with `state`."""
    return stored(state.state_details.flow_run_id)
