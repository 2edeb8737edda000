"""The coordinator of a load that agents make: gives its shards away, orders, takes what was recorded into the run folder.

Everything here runs in one loop of asyncio; what the load's parent has to know is put into `tell`, in the order in which it is true: a
message that counts rows comes after them. Who makes a shard is decided here, also where the queue gave it to somebody: a second agent
gets it only when the first has said nothing for so long that its load is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from loadflow.engine.base.files import write_atomically
from loadflow.engine.base.json_value import JsonMapping, JsonObject
from loadflow.engine.fleet.connection import Link, attempt, said, trouble
from loadflow.engine.fleet.members import Held, Member, Rules, Share, counts_of, flow_run_of, is_of_machine, too_few
from loadflow.engine.fleet.package import pack
from loadflow.engine.fleet.rest import begun_in, rest_of
from loadflow.engine.fleet.shipping import Incoming, Part, files_in
from loadflow.engine.fleet.starts import Starts
from loadflow.engine.fleet.streams import close_run, open_run
from loadflow.engine.fleet.subjects import COORDINATOR, PART_BYTES, PROTOCOL, Subjects
from loadflow.engine.machine.facts import version_of
from loadflow.engine.plan.plan import Plan
from loadflow.engine.process.launch import MODULES, Job
from loadflow.engine.process.messages import Done, Failed, Flush, Message, Note, Opened, Ready, Stood, SupervisorEnd, Tick, decode
from loadflow.engine.records.health import Health
from loadflow.engine.records.hitlog import row_count
from loadflow.engine.records.passes import Passes
from loadflow.engine.records.run import Run
from loadflow.engine.records.workers import WorkerRecord, WorkerState, workers_text

if TYPE_CHECKING:
    from nats.aio.msg import Msg

__all__ = ["Coordinator"]

LOG = logging.getLogger("loadflow.fleet")
LOOK_S = 0.1
TAKE = 32  # parts at a time
RELEASE_S = 0.12  # agents give a load to their engines so long before it starts
PATIENCE_S = 10.0  # for an agent to take what is open when no agent makes load any more
FOLDER_CHARACTERS = WORD_CHARACTERS = 300
LINGER_S = 3.0  # for agents to hear that everything has arrived


@dataclass(slots=True)
class _Pack:
    data: bytes
    from_s: int


class Coordinator:
    """`job`: as `launch.local_job` makes it, each entry of its engines one shard. `tell` is called from this loop."""

    def __init__(
        self, link: Link, job: Job, plan: Plan, run: Run, rules: Rules, env: Mapping[str, str], tell: Callable[[Message], None]
    ) -> None:
        self._link = link
        self._job = job
        self._plan = plan
        self._record = run
        self._rules = rules
        self._env = env
        self._tell = tell
        self._subjects = Subjects(run.facts.id)
        self._version = version_of("loadflow")
        self._shares: list[Share] = []
        for number, engine in enumerate(job["engines"]):
            loops = engine["job"].get("jobs") or [engine["job"]]
            self._shares.append(Share(number, tuple(int(loop["shard"]) for loop in loops)))
        self._logs = run.shards
        self._members: dict[tuple[int, int], Member] = {}
        self._absent: list[Share] = []
        self._packs: dict[tuple[int, int], _Pack] = {}
        self._phase = "wait"
        self._origin: tuple[int, int] | None = None
        self._stop_why: str | None = None
        self._began_s = time.monotonic()
        self._was_up = True
        self._over = False
        self._tasks: list[asyncio.Task[None]] = []
        self._starts = Starts()
        self._noted: set[str] = set()
        self._delivered: set[tuple[int, int]] = set()

    # -- from the first order to the last

    async def start(self) -> None:
        """Raises RunError when the run is made already, or the server can't hold it."""
        await open_run(self._link, self._subjects, len(self._shares))
        await self._link.listen(self._subjects.plan, self._on_plan)
        await self._link.listen(self._subjects.beat, self._on_beat)
        await self._link.listen(self._subjects.time, self._on_time)
        self._tasks = [asyncio.create_task(self._consume()), asyncio.create_task(self._watch())]

    async def ways_s(self) -> float:
        """How long an order is on its way to the slowest agent."""
        return max((member.way_s for member in self._live()), default=0.0)

    async def arm(self, origin: tuple[int, int], way_s: float) -> bool:
        """Order the start of the load, on the monotonic clock and in Unix time, in nanoseconds; whether all who make it have heard of it
        when it can just be moved, `way_s` before they begin."""
        self._origin, self._phase = origin, "go"
        await self._order_all()
        decide_s = origin[0] / 1e9 - RELEASE_S - way_s
        while not (armed := self._all_armed(origin[0])) and time.monotonic() < decide_s:
            await asyncio.sleep(0.005)
        return armed

    async def begun(self) -> None:
        """The load begins as it was ordered last."""
        for member in self._live():
            member.state = WorkerState.RUNNING
        for share in self._absent:
            for log in share.logs:
                self._tell(Done(log, 0, 0.0, "", Health(), lost=True))
            share.held, share.since_s = Held.OPEN, time.monotonic()
        self._note_workers()

    def _all_armed(self, origin_ns: int) -> bool:
        return all(member.armed_ns == origin_ns for member in self._live())

    async def stop(self, why: str) -> None:
        if self._stop_why is None:
            self._stop_why = why
            self._phase = "stop"
            await self._order_all()

    async def finish(self) -> None:
        """End the load as its planned time would; more than once does no harm."""
        if self._phase == "go":
            self._phase = "end"
            await self._order_all()

    async def close(self) -> None:
        """Agents hear that all is over, once they know that everything has arrived."""
        until_s = time.monotonic() + LINGER_S
        waited = {key for key, member in self._members.items() if member.state in (WorkerState.FINISHED, WorkerState.LEFT)}
        while not waited <= self._delivered and time.monotonic() < until_s and self._link.is_up:
            await asyncio.sleep(0.02)
        self._phase = "over"
        await self._order_all()
        for task in self._tasks:
            task.cancel()
        for member in self._members.values():
            member.incoming.close()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(close_run(self._link, self._subjects), 5)

    # -- what agents ask

    async def _on_time(self, message: Msg) -> None:
        await self._link.answer(message, {"coordinator_ns": time.monotonic_ns()})

    async def _on_plan(self, message: Msg) -> None:
        asked = said(message.data)
        key = int(asked["shard"]), int(asked["epoch"])
        share = self._shares[key[0]]
        refusal = self._refusal(share, asked)
        if refusal:
            await self._respond(message, b"", refusal)
            return
        if key not in self._members:
            problem = await self._give(share, asked)
            if problem:
                await self._respond(message, b"", {"refused": "over", "say": problem})
                return
        pack_ = self._packs[key]
        offset = int(asked["offset"])
        headers = {"bytes": str(len(pack_.data)), "from_s": str(pack_.from_s), "shards": str(len(self._shares))}
        await self._respond(message, pack_.data[offset : offset + PART_BYTES], headers)

    async def _respond(self, message: Msg, data: bytes, headers: dict[str, str]) -> None:
        await self._link.client.publish(message.reply, data, headers=headers)

    def _refusal(self, share: Share, asked: JsonMapping) -> dict[str, str]:
        """Why this agent does not get it now; empty when it does."""
        if int(asked["protocol"]) != PROTOCOL or asked["version"] != self._version:
            text = f"it is made by loadflow {self._version}, and this agent is {asked['version']}; install the same"
            self._note_once(
                f"not counted: {asked['agent']} on {asked['host']} has loadflow {asked['version']}, and this is {self._version}"
            )
            return {"refused": "version", "say": text, "again": "0.5", "pause": "5"}
        if self._job["engines"][share.number]["argv"][-1] == MODULES["native"] and not asked["native"]:
            self._note_once(f"not counted: {asked['agent']} on {asked['host']} has no native core")
            return {"refused": "native", "say": "this agent has no native core", "again": "0.5", "pause": "5"}
        if share.held is Held.OVER or self._over or self._phase in ("stop", "end", "over"):
            return {"refused": "over"}
        member = share.member
        epoch = int(asked["epoch"])
        if epoch < share.epoch:
            return {"refused": "over"}
        if member is not None and member.is_live and epoch != share.epoch:
            left_s = member.heard_s + self._rules.lost_s - time.monotonic()
            return {"refused": "held", "again": f"{min(max(left_s, 0.0) + LOOK_S, 1.0):.3f}"}
        return {}

    def _note_once(self, text: str) -> None:
        if text not in self._noted:
            self._noted.add(text)
            self._tell(Note(0, text))

    async def _give(self, share: Share, asked: JsonMapping) -> str:
        """The shard, or what is left of it, to the agent that asks; returns why there is nothing left."""
        number, epoch, cores = share.number, int(asked["epoch"]), max(1, int(asked["cores"]))
        entry = self._job["engines"][number]
        logs, from_s = share.logs, 0
        if self._origin is not None:
            from_s = math.ceil((time.monotonic_ns() - self._origin[0]) / 1e9 + self._starts.ahead_s(len(self._open()), cores))
            rest = rest_of(entry, self._plan, from_s, self._started_of(share))
            if rest is None:
                share.held = Held.OVER
                return "its time is over"
            entry = rest
            logs = tuple(range(self._logs, self._logs + len(share.logs)))
            self._logs += len(logs)
        data = await asyncio.get_running_loop().run_in_executor(None, pack, entry, self._plan, self._env)
        now_s = time.monotonic()
        first = not any(member.number == number for member in self._members.values())
        incoming = Incoming(files_in(self._record, number, epoch, logs, first=first))
        member = Member(str(asked["agent"]), str(asked["host"]), number, epoch, logs, incoming, now_s, now_s, now_s, from_s)
        member.flow_run, member.cores = flow_run_of(asked), cores
        if self._origin is not None:
            for place, log in enumerate(logs):
                self._tell(Opened(log, share.logs[place], from_s))
            member.state = WorkerState.RUNNING
        share.member, share.epoch, share.held = member, epoch, Held.MADE
        self._members[number, epoch] = member
        self._packs[number, epoch] = _Pack(data, from_s)
        self._note_workers()
        return ""

    def _started_of(self, share: Share) -> list[int]:
        """Passes that were begun of it, by loop: what was reported, or what the rows say, which are written more often."""
        begun = [0] * len(share.logs)
        for member in self._members.values():
            if member.number == share.number:
                for place, log in enumerate(member.logs):
                    begun[place] += max(member.passes.get(place, Passes()).started, begun_in(self._record.hits_path(log)))
        return begun

    async def _on_beat(self, message: Msg) -> None:
        asked = said(message.data)
        key = int(asked["shard"]), int(asked["epoch"])
        member = self._members.get(key)
        if member is None:
            await self._link.answer(message, {"order": {"phase": "over"}, "coordinator_ns": time.monotonic_ns()})
            return
        member.heard_s = time.monotonic()
        if asked["phase"] == "delivering" != member.phase:
            member.further_s = member.delivering_s = member.heard_s
        member.phase = str(asked["phase"])
        member.clock_error_s, member.way_s = float(asked["clock_error_s"]), float(asked["way_s"])
        member.armed_ns = int(asked["armed_ns"])
        member.folder = str(asked.get("folder", ""))[:FOLDER_CHARACTERS]
        member.rows, member.begun = counts_of(asked, "rows"), counts_of(asked, "begun")
        if member.phase == "delivered":
            self._delivered.add(key)
            if member.is_live and self._origin is not None and not member.waiting:
                # all has arrived, and its end is not among it: its disk did not take that any more
                crash = str(asked.get("crash", ""))[:WORD_CHARACTERS]
                self._lose(member, crash or "its engine ended without a word", again=is_of_machine(crash))
        order = self._order() if member.is_live else {"phase": "leave"}
        answer = {
            "order": order,
            "have": member.incoming.sizes,
            "open": len(self._open()) if self._phase == "go" else 0,
            "coordinator_ns": time.monotonic_ns(),
        }
        await self._link.answer(message, answer)

    def _order(self) -> JsonObject:
        if self._origin is None or self._phase != "go":
            return {"phase": self._phase}
        # all hear it, also an agent that stood still and whose share another one was given meanwhile
        held = {str(share.number): share.epoch for share in self._shares if share.held is Held.MADE}
        return {"phase": "go", "origin_ns": self._origin[0], "origin_unix_ns": self._origin[1], "held": held}

    async def _order_all(self) -> None:
        await self._link.tell(self._subjects.order, self._order())

    # -- what agents deliver

    async def _consume(self) -> None:
        import nats.errors

        rows = await self._link.stream.pull_subscribe_bind(consumer=COORDINATOR, stream=self._subjects.stream)
        while True:
            try:
                messages = await rows.fetch(TAKE, timeout=1)
            except (TimeoutError, nats.errors.TimeoutError):
                continue
            except trouble() as error:
                LOG.debug("no rows: %s", error)
                await asyncio.sleep(LOOK_S)
                continue
            for message in messages:
                try:
                    await self._take(message)
                except (KeyError, TypeError, ValueError, IndexError) as error:
                    LOG.warning("left out a part of %s that is not as it should be: %r", message.subject, error)
                    await attempt(message.term(), "the answer to a part or a shard")
                except OSError as error:
                    self._fail(f"what agents recorded can't be written: {error.strerror}")
                    return

    async def _take(self, message: Msg) -> None:
        number, epoch = map(int, message.subject.split(".")[-2:])
        member = self._members.get((number, epoch))
        holder = self._shares[number].member
        if member is None or (holder is not None and holder is not member and holder.logs == member.logs):
            # of no one, or of an agent that was lost before the load began, and whose files are another one's now
            await attempt(message.term(), "the answer to a part or a shard")
            return
        headers = message.headers or {}
        part = Part(headers["file"], int(headers["offset"]), message.data)
        lines = member.incoming.take(part)
        if lines is None:
            await attempt(message.nak(delay=0.2), "the answer to a part or a shard")
            return
        member.further_s = time.monotonic()
        await attempt(message.ack(), "the answer to a part or a shard")
        member.waiting += map(decode, lines)
        self._hear(member)

    def _hear(self, member: Member) -> None:
        """What it said, up to the first message whose rows are not here."""
        while member.waiting:
            message = member.waiting[0]
            if isinstance(message, Tick | Flush | Done) and message.rows > self._rows(member.logs[message.shard]):
                return
            member.waiting.pop(0)
            if message is None:
                LOG.warning("ignored an invalid engine message, from %s", member.agent)
            elif member.is_live:
                self._obey(member, message)

    def _rows(self, log: int) -> int:
        path = self._record.hits_path(log)
        return row_count(path) if path.exists() else 0

    def _obey(self, member: Member, message: Message) -> None:
        match message:
            case Ready():
                member.ready.add(message.shard)
                if member.is_ready:
                    self._starts.note(member, self._live(), began=self._origin is not None)
            case Tick():
                member.health[message.shard], member.recorded_s = message.health, message.until_s
                member.passes[message.shard] = message.passes
                self._tell(replace(message, shard=member.logs[message.shard]))
            case Flush() | Stood():
                self._tell(replace(message, shard=member.logs[message.shard]))
            case Done():
                member.done.add(message.shard)
                member.recorded_s = message.ran_s
                member.passes[message.shard] = message.passes
                left = bool(message.stopped) and self._stop_why is None
                member.left = member.left or left
                self._tell(replace(message, shard=member.logs[message.shard], stopped="" if left else message.stopped, lost=left))
                if len(member.done) == len(member.logs):
                    self._finish(member, WorkerState.LEFT if member.left else WorkerState.FINISHED, again=True)
            case Failed() if self._origin is None:
                member.message = message.text
                self._fail(f"{member.agent} on {member.host}: {message.text}")
            case Failed():
                self._lose(member, message.text, again=is_of_machine(message.text))
            case _:
                pass

    # -- ends

    def _lose(self, member: Member, why: str, *, again: bool = True) -> None:
        LOG.warning("lost %s on %s: %s", member.agent, member.host, why)
        began = self._origin is not None
        member.message = why
        member.undelivered = sum(max(0, rows - self._rows(log)) for rows, log in zip(member.rows, member.logs, strict=False))
        self._finish(member, WorkerState.LOST, again=again)
        if began:
            self._tell(Note(0, f"lost {member.agent} on {member.host}: {why}"))
            for place, log in enumerate(member.logs):
                if place not in member.done:
                    health = replace(member.health.get(place, Health()), users=0, users_peak=0, in_flight=0)
                    passes = member.passes.get(place, Passes())
                    # also those begun of which no row will come
                    passes = replace(passes, due=max(passes.due, *member.begun[place : place + 1], 0))
                    self._tell(Done(log, self._rows(log), member.ended_s or 0.0, "", health, passes, lost=True))

    def _finish(self, member: Member, state: WorkerState, *, again: bool) -> None:
        member.state = state
        share = self._shares[member.number]
        if state is not WorkerState.FINISHED:
            if self._origin is not None:
                member.ended_s = max(0.0, (time.monotonic_ns() - self._origin[0]) / 1e9)
            share.held, share.since_s = (Held.OPEN if again and self._may_go_on() else Held.OVER), time.monotonic()
        else:
            share.held = Held.OVER
        if self._origin is not None:
            self._note_workers()

    def _may_go_on(self) -> bool:
        """Rows of `once` data that were given away can't be given away again."""
        return not (self._origin is not None and any(source.mode == "once" for source in self._plan.sources))

    def _fail(self, text: str) -> None:
        if not self._over:
            self._tell(Failed(0, text))
            self._end(1)

    def _end(self, code: int = 0) -> None:
        if not self._over:
            self._over = True
            self._tell(SupervisorEnd("stopped" if self._stop_why is not None else "done", (code,)))

    async def _watch(self) -> None:
        told: set[int] = set()
        while not self._over:
            await asyncio.sleep(LOOK_S)
            now_s = time.monotonic()
            self._forgive_outage(now_s)
            for member in self._live():
                if why := member.silence(now_s, self._rules):
                    # passes of users who have ended, of which it is not known how many they made, are not made again
                    self._lose(member, why, again=member.phase != "delivering" or self._plan.duration_s is not None)
            is_open = {share.number for share in self._open()}
            if is_open - told:
                await self._order_all()  # agents ask at once then, and hear that a share is open
            told = is_open
            if self._origin is None:
                self._gather(now_s)
            elif not self._live():
                self._end_if_over(now_s)

    def _forgive_outage(self, now_s: float) -> None:
        """While the server is away no agent can be heard."""
        up = self._link.is_up
        if not up or not self._was_up:
            for member in self._live():
                member.heard_s = member.further_s = now_s
        self._was_up = up

    def _gather(self, now_s: float) -> None:
        """Until every shard has an agent that is ready, or the time is over."""
        if self._stop_why is not None:
            self._end()
            return
        ready = [member for member in self._live() if member.is_ready]
        late = now_s - self._began_s > self._rules.startup_s
        if self._phase != "wait" or (len(ready) < len(self._shares) and not late):
            return
        if problem := too_few(ready, len(self._shares), self._rules):
            lost = "; ".join(f"{one.agent} on {one.host}: {one.message}" for one in self._members.values() if one.message)
            self._fail(f"{problem}{f' — {lost}' if lost else ''}")
            return
        self._phase = "ready"
        for share in self._shares:
            if share.member is None or not (share.member.is_live and share.member.is_ready):
                if share.member is not None and share.member.is_live:
                    share.member.state = WorkerState.ABSENT
                self._absent.append(share)
            for log in share.logs:
                self._tell(Ready(log))

    def _end_if_over(self, now_s: float) -> None:
        assert self._origin is not None
        ran_s = now_s - self._origin[0] / 1e9
        timed_out = self._phase == "end" or (self._plan.duration_s is not None and ran_s > self._plan.duration_s)
        waiting = self._open()
        if waiting and self._stop_why is None and not timed_out and now_s - max(one.since_s for one in waiting) < PATIENCE_S:
            return
        made = [member for member in self._members.values() if member.state in (WorkerState.FINISHED, WorkerState.LEFT)]
        if not made and self._stop_why is None:
            lost = "; ".join(f"{one.agent} on {one.host}: {one.message}" for one in self._members.values() if one.message)
            self._fail(f"every agent was lost: {lost}")
            return
        self._end()

    # -- small things

    def _open(self) -> list[Share]:
        return [share for share in self._shares if share.held is Held.OPEN]

    def _live(self) -> list[Member]:
        return [member for member in self._members.values() if member.is_live]

    def _note_workers(self) -> None:
        # who was lost before the load began has made none of it
        made = [member for member in self._members.values() if member.state is not WorkerState.LOST or member.ended_s is not None]
        records = [member.record() for member in made]
        records += [WorkerRecord(share.logs[0], "", "", WorkerState.ABSENT, share=share.number) for share in self._absent]
        write_atomically(self._record.workers_path, workers_text(records))
