"""Slots of Prefect's global concurrency limits, with a record of who holds each, so that no slot stays taken for ever.

Prefect's server keeps leases apart from the number of slots that are taken, by default in its memory. After a restart of the
server a lease may be gone while its slot still counts as taken: renewing answers 410, releasing answers 204 and does nothing.
So a holder keeps a Prefect variable beside its lease, and updates it with each renewal: it says who holds the slot, by which
lease, and when it was last heard of. From these records follows which slots have no living holder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, VariableCreate, VariableUpdate
from prefect.client.schemas.objects import ConcurrencyLeaseHolder
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectHTTPStatusError

from loadflow.engine.base.json_reading import read_json
from loadflow.engine.base.json_value import JsonObject

__all__ = ["ENDED_S", "LEASE_S", "SILENT_S", "Holder", "Slots", "is_dead", "record_name"]

LEASE_S = 60.0  # the least that Prefect allows
ENDED_S = 30.0  # a flow run that has ended and was not heard of for so long holds nothing any more
SILENT_S = 180.0  # nor does any holder that was not heard of for so long: three leases, so that a short absence of the server is none
MISSING, GONE, LOCKED = 404, 410, 423  # HTTP


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a slot. `flow_run` is None outside of a flow run; `since` is ISO 8601, UTC."""

    limit: str
    lease: str
    name: str
    flow_run: str | None
    since: str


@dataclass(frozen=True, slots=True)
class Record:
    """A holder as its variable says it; `silent_s`: since it was last heard of, by the server's clock."""

    key: str
    holder: Holder
    silent_s: float


def record_name(limit: str, own: UUID) -> str:
    """The name of the variable in which the holder `own` of a slot says so; Prefect allows lower-case letters, digits and _ there."""
    return f"{_prefix(limit)}{own.hex}"


def _prefix(limit: str) -> str:
    return f"loadflow_slot_{hashlib.sha256(limit.encode()).hexdigest()[:16]}_"


def is_dead(silent_s: float, flow_run_ended: bool) -> bool:
    """Whether a holder holds nothing any more: it was not heard of for long, or for less where its flow run has ended too."""
    return silent_s > (ENDED_S if flow_run_ended else SILENT_S)


class Slots:
    """What a client of the server can do with the slots of one limit."""

    def __init__(self, client: SyncPrefectClient, limit: str) -> None:
        self._client = client
        self.limit = limit

    def make(self) -> None:
        """Make the limit, of one slot, where it is not there; an existing limit stays as it is."""
        try:
            self._client.read_global_concurrency_limit_by_name(self.limit)
        except ObjectNotFound:
            with suppress(ObjectAlreadyExists):
                self._client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=self.limit, limit=1))

    def take(self, flow_run: str | None) -> UUID | None:
        """The lease of a slot that is taken now; None when all are."""
        holder = ConcurrencyLeaseHolder(type="flow_run", id=UUID(flow_run)) if flow_run else None
        try:
            answer = self._client.increment_concurrency_slots_with_lease([self.limit], 1, "concurrency", LEASE_S, holder)
        except PrefectHTTPStatusError as error:
            if error.response.status_code == LOCKED:
                return None
            raise
        return UUID(answer.json()["lease_id"])

    def renew(self, lease: UUID) -> bool:
        """Whether the lease goes on; False when the server does not know it any more."""
        try:
            self._client.renew_concurrency_lease(lease, LEASE_S)
        except PrefectHTTPStatusError as error:
            if error.response.status_code == GONE:
                return False
            raise
        return True

    def give_back(self, lease: UUID, own: str) -> None:
        """Give a slot back whose holder's record is `own`, also where the server has lost the lease and still counts the slot."""
        if self.renew(lease):
            self._client.release_concurrency_slots_with_lease(lease)
        else:
            self.give_back_lost(own)
        with suppress(ObjectNotFound):
            self._client.delete_variable_by_name(own)

    def give_back_lost(self, own: str) -> None:
        """Give one slot back if more are taken than other holders have: then one is counted for a lease that is gone."""
        others = sum(record.key != own for record in self.records())
        if self._client.read_global_concurrency_limit_by_name(self.limit).active_slots > others:
            self._client.release_concurrency_slots([self.limit], 1, 1.0)

    def sweep(self) -> list[Holder]:
        """Give back the slots whose holders are dead; these holders."""
        dead = [record for record in self.records() if is_dead(record.silent_s, self._has_ended(record.holder.flow_run))]
        for record in dead:
            self.give_back(UUID(record.holder.lease), record.key)
        return [record.holder for record in dead]

    def say(self, key: str, holder: Holder) -> None:
        """Write or renew the record of a holder."""
        value = json.dumps(asdict(holder))
        try:
            self._client.update_variable(VariableUpdate(name=key, value=value))
        except PrefectHTTPStatusError as error:
            if error.response.status_code != MISSING:
                raise
            self._client.create_variable(VariableCreate(name=key, value=value, tags=["loadflow"]))

    def records(self) -> Sequence[Record]:
        answer = self._client.request("POST", "/variables/filter", json={"variables": {"name": {"like_": _prefix(self.limit)}}})
        now = parsedate_to_datetime(answer.headers["date"]) if "date" in answer.headers else datetime.now(UTC)
        return [record for one in answer.json() if (record := _record(one, now)) is not None]

    def _has_ended(self, flow_run: str | None) -> bool:
        if flow_run is None:
            return False
        try:
            state = self._client.read_flow_run(UUID(flow_run)).state
        except ObjectNotFound:
            return True
        return state is not None and state.is_final()


def _record(variable: JsonObject, now: datetime) -> Record | None:
    """None if the variable is not a record."""
    value = variable["value"]
    try:
        holder = Holder(**(read_json(value) if isinstance(value, str) else value))
        UUID(holder.lease)
    except (TypeError, ValueError):
        return None
    heard = datetime.fromisoformat(variable["updated"])
    return Record(variable["name"], holder, max(0.0, (now - heard).total_seconds()))
