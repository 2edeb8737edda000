"""Who is at a NATS server, and what `loadflow doctor` has to say of them."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from loadflow.cli.fleet_diagnosis import agent_findings, diagnose_fleet
from loadflow.engine.fleet.access import Keys
from loadflow.engine.fleet.agent import facts_of_this_machine
from loadflow.engine.fleet.broker import Broker
from loadflow.engine.fleet.connection import Link, connect
from loadflow.engine.fleet.discovery import AgentAnswer, agents_at
from loadflow.engine.fleet.subjects import WHO

TOKEN = "a token of these tests"
OWN = replace(facts_of_this_machine(2), id="box-1", native=True, cores=4)


@contextmanager
def answering(broker: Broker, *answers: dict[str, Any]) -> Iterator[None]:
    """Agents that answer so, each with a time of day that is its `ahead_s` off."""
    loop = asyncio.new_event_loop()
    there, over = threading.Event(), asyncio.Event()

    async def main() -> None:
        links = [await connect(broker.agent_access, "an agent", patient=False) for _ in answers]
        for link, answer in zip(links, answers, strict=True):

            async def who(message: Any, link: Link = link, answer: dict[str, Any] = answer) -> None:
                ahead_ns = round(answer.get("ahead_s", 0) * 1e9)
                said = {**answer, "shards": [], "unix_ns": time.time_ns() + ahead_ns}
                await link.client.publish(message.reply, json.dumps(said).encode())

            await link.listen(WHO, who)
            await link.client.flush()
        there.set()
        await over.wait()
        for link in links:
            await link.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    assert there.wait(60)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


def test_agents_of_other_versions_and_with_other_clocks_are_told(tmp_path: Path) -> None:
    """Also those that say less, or more, of themselves than this version does."""
    fine = asdict(OWN)
    old = {"id": "old-1", "host": "old", "version": "0.0.9", "protocol": 2, "cores": 2, "further": "words"}
    late = {**fine, "id": "late-1", "ahead_s": -3600.0}
    with Broker(tmp_path / "server", Keys.of(TOKEN)) as broker, answering(broker, fine, old, late):
        found = agents_at(broker.access, 2.0)
        place = broker.access.place
    assert [one.facts.id for one in found] == ["box-1", "late-1", "old-1"]
    assert not found[0].trouble
    assert found[2].trouble == f"it is loadflow 0.0.9, and this is {OWN.version}"
    assert found[1].clock_ms == pytest.approx(-3_600_000, abs=60_000)
    first, clock, version = agent_findings(found, place)
    assert (first.state, first.text) == ("note", f"2 agents with 8 cores at {place}, 2 free")
    assert (clock.name, clock.state) == ("agent late-1", "note")
    assert "s behind: hits are corrected, its logs are not" in clock.text
    assert version.text == f"gets no share: it is loadflow 0.0.9, and this is {OWN.version}; install the same on both"


def test_findings() -> None:
    fine = AgentAnswer(OWN, (), 0.2, 0.3, "")
    assert [(one.state, one.text) for one in agent_findings([fine], "nats://x")] == [("ok", "1 agent with 4 cores at nats://x, 1 free")]
    unsure = replace(fine, clock_ms=1_500.0, clock_error_ms=900.0)  # a slow answer may look like another time
    assert len(list(agent_findings([fine, unsure], "nats://x"))) == 1
    (_, no_core) = agent_findings([fine, replace(fine, facts=replace(OWN, native=False))], "nats://x")
    assert "no native core" in no_core.text
    (nobody,) = agent_findings([], "nats://x")
    assert (nobody.state, nobody.text) == ("note", "none answers at nats://x; start one: loadflow agent --nats-url nats://x")


def test_a_server_that_is_not_there_is_broken_and_none_named_is_not_looked_for() -> None:
    assert [one.name for one in diagnose_fleet(None, None)] == ["nats-server"]
    *_, last = diagnose_fleet("nats://127.0.0.1:1", None)
    assert last.state == "broken"
    assert last.text.startswith("there is no NATS server at nats://127.0.0.1:1")
