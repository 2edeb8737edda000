"""Takes what agents and the NATS server still have of a run that has lost its coordinator, in the coordinator's place."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from loadflow.engine.base.counted import counted
from loadflow.engine.fleet.access import Access
from loadflow.engine.fleet.connection import attempt, connect, said, trouble
from loadflow.engine.fleet.shipping import Incoming, Part, files_in
from loadflow.engine.fleet.streams import close_run
from loadflow.engine.fleet.subjects import COORDINATOR, Subjects
from loadflow.engine.process.messages import Done, Flush, Message, Tick, decode
from loadflow.engine.records.hitlog import read_header, row_count
from loadflow.engine.records.passes import Passes
from loadflow.engine.records.run import Run

if TYPE_CHECKING:
    from nats.aio.msg import Msg
    from nats.js import JetStreamContext

__all__ = ["Drained", "drain"]

QUIET_S = 8.0  # without a word of any agent: those that have hits ask every two seconds
TAKE = 32
LOOK_S = 0.1


@dataclass(slots=True)
class Drained:
    """An agent's time with a share: its logs, and all that its engine reported, in order."""

    share: int
    epoch: int
    logs: range
    from_s: int
    recorded_s: float
    origin_unix_s: float = 0.0
    messages: list[Message] = field(default_factory=list)

    def of_run(self, message: Message) -> Message:
        """With the number of the log instead of that of the loop."""
        return replace(message, shard=self.logs[message.shard]) if isinstance(message, Tick | Flush | Done) else message

    def passes(self, log: int) -> Passes:
        told = [one.passes for one in self.messages if isinstance(one, Tick) and self.logs[one.shard] == log]
        return told[-1] if told else Passes()

    @property
    def is_whole(self) -> bool:
        return sum(isinstance(one, Done) for one in self.messages) == len(self.logs)


async def drain(run: Run, access: Access, say: Callable[[str], None]) -> list[Drained]:
    """Until every agent has delivered all, or none says anything. Raises RunError where there is no server."""
    link = await connect(access, f"loadflow resume {run.facts.id}", patient=False)
    subjects = Subjects(run.facts.id)
    members: dict[tuple[int, int], tuple[Drained, Incoming]] = {}
    for worker in run.workers():
        if worker.id:
            one = Drained(worker.share, worker.epoch, worker.logs, worker.from_s, worker.recorded_s)
            incoming = Incoming(files_in(run, worker.share, worker.epoch, tuple(worker.logs), first=not worker.from_s))
            one.messages += filter(None, map(decode, incoming.said_so_far()))
            members[worker.share, worker.epoch] = one, incoming
    heard_s = time.monotonic()
    delivered: set[tuple[int, int]] = set()

    async def on_beat(message: Msg) -> None:
        nonlocal heard_s
        asked = said(message.data)
        key = int(asked["shard"]), int(asked["epoch"])
        heard_s = time.monotonic()
        if asked["phase"] == "delivered":
            delivered.add(key)
        order = {"phase": "leave" if key in members else "over"}
        have = members[key][1].sizes if key in members else {}
        await link.answer(message, {"order": order, "have": have, "coordinator_ns": time.monotonic_ns()})

    try:
        await link.listen(subjects.beat, on_beat)
        rows = await link.stream.pull_subscribe_bind(consumer=COORDINATOR, stream=subjects.stream)
        while time.monotonic() - heard_s < QUIET_S and delivered != members.keys():
            for message in await _fetch(rows):
                number, epoch = map(int, message.subject.split(".")[-2:])
                heard_s = time.monotonic()
                if (number, epoch) not in members:
                    await attempt(message.term(), "the answer to a part or a shard")
                    continue
                one, incoming = members[number, epoch]
                headers = message.headers or {}
                lines = incoming.take(Part(headers["file"], int(headers["offset"]), message.data))
                if lines is None:
                    await attempt(message.nak(delay=0.2), "the answer to a part or a shard")
                    continue
                await attempt(message.ack(), "the answer to a part or a shard")
                one.messages += filter(None, map(decode, lines))
        await link.tell(subjects.order, {"phase": "over"})
        await close_run(link, subjects)
    finally:
        await link.close()
        for _, incoming in members.values():
            incoming.close()
    found = [one for one, _ in members.values()]
    for one in found:
        for log in one.logs:
            if run.hits_path(log).exists() and row_count(run.hits_path(log)) > 0:
                one.origin_unix_s = read_header(run.hits_path(log)).origin_unix_ns / 1e9
    missing = sum(not one.is_whole for one in found)
    say(f"{len(found) - missing} of {counted(len(found), 'share')} whole")
    return found


async def _fetch(rows: JetStreamContext.PullSubscription) -> list[Msg]:
    with contextlib.suppress(*trouble()):
        messages: list[Msg] = await rows.fetch(TAKE, timeout=1)
        return messages
    await asyncio.sleep(LOOK_S)
    return []
