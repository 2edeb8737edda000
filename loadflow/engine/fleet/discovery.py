"""Which agents there are at a NATS server, and what they say of themselves."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.fleet.access import Access
from loadflow.engine.fleet.agent import AgentFacts
from loadflow.engine.fleet.connection import connect, said
from loadflow.engine.fleet.subjects import PROTOCOL, WHO
from loadflow.engine.machine.facts import version_of

if TYPE_CHECKING:
    from nats.aio.msg import Msg

__all__ = ["AgentAnswer", "agents_at"]

# what agents of other versions may not say
UNSAID: dict[str, object] = {
    "version": "of another version",
    "protocol": 0,
    "cores": 0,
    "slots": 0,
    "native": False,
    "ceilings": {},
    "allowed_hosts": None,
    "max_rate_per_s": None,
}


@dataclass(frozen=True, slots=True)
class AgentAnswer:
    """`clock_ms`: its time of day minus ours, which may be off by `clock_error_ms`; `shards`: what it makes now, as run/number;
    `trouble`: why a run of this loadflow would not take it, "" when it would."""

    facts: AgentFacts
    shards: tuple[str, ...]
    clock_ms: float
    clock_error_ms: float
    trouble: str

    def to_json(self) -> dict[str, object]:
        return {
            **asdict(self.facts),
            "shards": list(self.shards),
            "clock_ms": round(self.clock_ms, 3),
            "clock_error_ms": round(self.clock_error_ms, 3),
            "trouble": self.trouble,
        }


def agents_at(access: Access, wait_s: float) -> list[AgentAnswer]:
    """Those that answer within `wait_s`, by id. Raises RunError where there is no server."""
    return asyncio.run(_ask(access, wait_s))


async def _ask(access: Access, wait_s: float) -> list[AgentAnswer]:
    link = await connect(access, "loadflow agents", patient=False)
    found: list[AgentAnswer] = []
    try:
        inbox = link.client.new_inbox()
        sent_ns = 0

        async def hear(message: Msg) -> None:
            found.append(_answer(said(message.data), sent_ns, time.time_ns()))

        await link.listen(inbox, hear)
        await link.client.flush()
        sent_ns = time.time_ns()
        await link.client.publish(WHO, b"{}", reply=inbox)
        await asyncio.sleep(wait_s)
    finally:
        await link.close()
    return sorted(found, key=lambda one: one.facts.id)


def _answer(data: JsonObject, sent_ns: int, now_ns: int) -> AgentAnswer:
    known = {field.name for field in fields(AgentFacts)}
    facts = AgentFacts(**{**UNSAID, **{name: value for name, value in data.items() if name in known}})
    ahead_ms = (int(data["unix_ns"]) - (sent_ns + now_ns) / 2) / 1e6
    own = version_of("loadflow")
    trouble = "" if (facts.version, facts.protocol) == (own, PROTOCOL) else f"it is loadflow {facts.version}, and this is {own}"
    return AgentAnswer(facts, tuple(data["shards"]), ahead_ms, (now_ns - sent_ns) / 2e6, trouble)
