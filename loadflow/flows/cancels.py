"""Which flow runs a load belongs to, and whether one of them is cancelled: its own, and each one that started it, up to the root."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

__all__ = ["API_TROUBLE", "Cancels"]

API_TROUBLE = (httpx.HTTPError, PrefectHTTPStatusError, ObjectNotFound, RuntimeError, OSError, ValueError)
CANCELLED = (StateType.CANCELLING, StateType.CANCELLED)
DEEPEST = 20  # flow runs above each other; a guard against a circle in what the server says


class Cancels:
    """Looks at the states of `flow_runs` and of all that are above them.

    A flow run has another above it where it is its subflow, or was started by `run_deployment` inside of it. Prefect hands a cancel
    to neither.
    """

    def __init__(self, flow_runs: Iterable[UUID]) -> None:
        self._own = tuple(flow_runs)
        self._parents: dict[UUID, UUID | None] = {}

    def look(self, client: SyncPrefectClient) -> str:
        """Why the load has to end, as in "the flow run is cancelled"; "" when it has not to, or the API does not say."""
        looked: set[UUID] = set()
        for own in self._own:
            one: UUID | None = own
            while one is not None and one not in looked and len(looked) < DEEPEST:
                looked.add(one)
                if state := self._cancelled(client, one):
                    which = "the flow run" if one == own else "the flow run above this one"
                    return f"{which} is {state}"
                one = self._parents.get(one)
        return ""

    def is_above_over(self, client: SyncPrefectClient, own: UUID) -> bool:
        """Whether the flow run above `own` has ended, however it did; False where there is none, or the API is silent. After a `look`."""
        above = self._parents.get(own)
        if above is None:
            return False
        try:
            state = client.read_flow_run(above).state
        except API_TROUBLE:
            return False
        return state is not None and state.is_final()

    def _cancelled(self, client: SyncPrefectClient, flow_run: UUID) -> str:
        try:
            found = client.read_flow_run(flow_run)
            if flow_run not in self._parents:
                task = found.parent_task_run_id
                self._parents[flow_run] = None if task is None else client.read_task_run(task).flow_run_id
        except API_TROUBLE:
            return ""  # asked again by the next look
        state = found.state
        return (state.name or str(state.type)).lower() if state is not None and state.type in CANCELLED else ""
