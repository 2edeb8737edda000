"""The slot of a target: who holds it is said, a lease that the server lost is taken anew, and a slot without a living holder is free."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import PrefectHTTPStatusError

from loadflow.errors import Interrupted, TargetTaken
from loadflow.flows import lease, slots
from loadflow.flows.lease import lease_name, target_lease
from loadflow.flows.slots import ENDED_S, SILENT_S, Holder, Slots, is_dead, record_name

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]


@pytest.fixture
def client(prefect_server: None) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def target() -> str:
    """A system that no other test loads."""
    return f"http://{uuid4().hex}.example:80"


@pytest.fixture
def of(client: SyncPrefectClient, target: str) -> Slots:
    made = Slots(client, lease_name(target))
    made.make()
    return made


def active(of: Slots, client: SyncPrefectClient) -> float:
    return client.read_global_concurrency_limit_by_name(of.limit).active_slots


def lose(client: SyncPrefectClient, of: Slots, held: UUID) -> None:
    """What a restart does to a server that keeps its leases in memory: the lease is gone, and its slot still counts."""
    client.release_concurrency_slots_with_lease(held)
    try:
        client.increment_concurrency_slots([of.limit], 1, "concurrency")
    except PrefectHTTPStatusError as error:
        if error.response.status_code != HTTPStatus.LOCKED:
            raise  # else its holder has already noticed, and taken the slot anew
    assert not of.renew(held)


def lease_of(of: Slots) -> UUID:
    (record,) = of.records()
    return UUID(record.holder.lease)


def dead(of: Slots, client: SyncPrefectClient) -> UUID:
    """A slot whose holder is gone without a word."""
    held = of.take(None)
    assert held is not None
    of.say(record_name(of.limit, uuid4()), Holder(of.limit, str(held), "a lost run", None, "2026-01-01T02:00:00+00:00"))
    return held


@pytest.mark.parametrize(
    ("silent_s", "ended", "held"),
    [
        (0, False, True),
        (SILENT_S - 1, False, True),
        (SILENT_S + 1, False, False),
        (ENDED_S - 1, True, True),
        (ENDED_S + 1, True, False),
    ],
)
def test_who_holds_a_slot_still(silent_s: float, ended: bool, held: bool) -> None:
    assert is_dead(silent_s, ended) is not held


def test_a_slot_is_held_and_given_back_with_its_record(client: SyncPrefectClient, of: Slots, target: str) -> None:
    with target_lease()(target):
        assert active(of, client) == 1
        assert of.renew(lease_of(of))
    assert active(of, client) == 0
    assert of.records() == []


def test_a_target_that_is_taken_says_by_whom_and_the_way_out(of: Slots, target: str) -> None:
    with target_lease()(target), pytest.raises(TargetTaken) as raised, target_lease()(target):
        pass
    assert "the flow run a process of" in str(raised.value)
    assert f"`prefect gcl update {of.limit} --active-slots 0` frees it" in str(raised.value)


def test_a_slot_that_something_else_holds_says_so(of: Slots, target: str) -> None:
    assert of.take(None) is not None
    with pytest.raises(TargetTaken, match="another program holds the concurrency limit"), target_lease()(target):
        pass


def test_a_lease_that_the_server_lost_is_taken_anew(
    client: SyncPrefectClient, of: Slots, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_S", 0.1)
    renewed = threading.Event()
    say = Slots.say
    with target_lease()(target):
        first = lease_of(of)

        def heard(self: Slots, key: str, holder: Holder) -> None:
            say(self, key, holder)
            if holder.lease != str(first):
                renewed.set()

        monkeypatch.setattr(Slots, "say", heard)
        lose(client, of, first)
        assert renewed.wait(30)
        assert active(of, client) == 1
        assert of.renew(lease_of(of))
    assert active(of, client) == 0


def test_a_lease_that_was_lost_just_before_the_end_leaves_no_slot_taken(client: SyncPrefectClient, of: Slots, target: str) -> None:
    with target_lease()(target):
        lose(client, of, lease_of(of))
    assert active(of, client) == 0
    assert of.records() == []


def test_the_slot_of_another_is_not_given_back_for_a_lease_that_ran_out(client: SyncPrefectClient, of: Slots, target: str) -> None:
    """Away for longer than the lease: the server gave the slot back by itself, and another load took it."""
    with target_lease()(target):
        client.release_concurrency_slots_with_lease(lease_of(of))
        other = dead(of, client)
    assert active(of, client) == 1
    assert of.renew(other)


@pytest.mark.parametrize("lost", [False, True], ids=["its lease is there", "its lease was lost"])
def test_a_slot_without_a_living_holder_is_taken_back(
    client: SyncPrefectClient, of: Slots, target: str, lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = dead(of, client)
    if lost:
        lose(client, of, held)
    with pytest.raises(TargetTaken, match="a lost run"), target_lease()(target):
        pass  # it was heard of just now
    monkeypatch.setattr(slots, "SILENT_S", -1.0)
    with target_lease()(target):
        monkeypatch.setattr(slots, "SILENT_S", SILENT_S)
        assert active(of, client) == 1
        assert not of.renew(held)
    assert active(of, client) == 0


def test_a_limit_that_was_raised_by_hand_holds_so_many(client: SyncPrefectClient, of: Slots, target: str) -> None:
    client.request("PATCH", "/v2/concurrency_limits/{id_or_name}", path_params={"id_or_name": of.limit}, json={"limit": 2})
    with target_lease()(target), target_lease()(target):
        assert active(of, client) == 2
        with pytest.raises(TargetTaken), target_lease()(target):
            pass
    assert active(of, client) == 0


def test_waiting_says_for_whom_and_ends_with_a_cancel(of: Slots, target: str) -> None:
    said: list[str] = []
    logger = logging.Logger("of this test")
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    waiting = target_lease(3600, logger, cancelled=lambda: "the flow run is cancelled" if said else "")
    with target_lease()(target), pytest.raises(Interrupted, match="the flow run is cancelled; nothing was sent"), waiting(target):
        pass
    assert re.search(r"waiting for the target, at most 3[56]\d\d s more: the flow run a process of", said[0])


def test_a_variable_of_somebody_else_is_no_record(client: SyncPrefectClient, of: Slots) -> None:
    values: list[Any] = ["", "3", '{"limit": 1}', "[]", "null"]
    for value in values:
        client.request("POST", "/variables/", json={"name": record_name(of.limit, uuid4()), "value": value, "tags": []})
    assert of.records() == []
