"""One shard at an agent: asks for its plan, makes it with an engine, ships what was recorded, until the coordinator has every byte.

The queue's message is the lease: it is renewed each second, and given back or acknowledged at the end. What may go on is decided by the
coordinator's answers to the beats: without one for `SILENT_S` the load ends, here by this loop and, should this process stand still, by
the engine's supervisor, which wants to hear a beat as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from loadflow.engine.base.counted import counted
from loadflow.engine.base.disk import told_disk
from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.fleet.clock import WINDOW, ClockComparison
from loadflow.engine.fleet.connection import Link, attempt, said
from loadflow.engine.fleet.package import Package, fenced, refuse_python, unpack
from loadflow.engine.fleet.shipping import Outgoing, Room, files_of
from loadflow.engine.fleet.subjects import BEAT_S, DRAIN_S, SILENT_S, Subjects
from loadflow.engine.process.launch import START_ALLOWANCE_S, Engine, agent_job, loop_files
from loadflow.engine.process.messages import Done, Failed, Flush, Message, Ready, Stood, SupervisorEnd, Tick, encode
from loadflow.engine.records.hitlog import row_count
from loadflow.errors import CommandError, RunError

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from loadflow.engine.fleet.agent import AgentFacts

__all__ = ["Lease", "Served", "Standing"]

LOG = logging.getLogger("loadflow.fleet")
RENEW_S = 1.0
ASK_S = 1.5
PLAN_S = 15.0  # for a plan, whose files the coordinator reads first
RELEASE_NS = 100_000_000  # before its start a load is out of the coordinator's hands; until then the start may be moved
SHIP_S = 0.1
STUCK_S = 4.0  # without news of its bytes it sends them again
KEPT_S = 3600.0  # as long as the server keeps rows; then they are not asked for any more
SLOWLY_S = 2.0


@dataclass(frozen=True, slots=True)
class Served:
    """A shard is over for this agent. `problem`: why the coordinator does not have all of it; "" when it has. `ended`: why it was not made
    to its end here; "" when it was, or the run itself was stopped."""

    run: str
    hits: int
    problem: str
    number: int = 0
    ended: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a shard stands at this agent: its `number` of `of`, from 0; `phase`: loading, ready, running, delivering or delivered; the time
    of the load so far and, where it has an end, planned, in seconds."""

    number: int
    of: int
    phase: str
    hits: int
    ran_s: float
    planned_s: float | None


class Lease:
    def __init__(
        self, link: Link, message: Msg, facts: AgentFacts, run_id: str, number: int, epoch: int, folder: Path, say: Callable[[str], None]
    ) -> None:
        self.run_id = run_id
        self.number = number
        self.is_making = True  # until its engine has ended: then only bytes are on their way
        self.open_shards = False
        self._link = link
        self._message = message
        self._facts = facts
        self._epoch = epoch
        self._folder = folder
        self._told = say
        self._subjects = Subjects(run_id)
        self._clock = ClockComparison()
        self._phase = "loading"
        self._order: JsonObject = {"phase": "wait"}
        self._heard_s = time.monotonic()
        self._further_s = time.monotonic()
        self._armed_ns = 0
        self._released = False
        self._from_ns = 0
        self._engine: Engine | None = None
        self._loops: list[int] = []
        self._of = 0
        self._own_ns = 0
        self._planned_s: float | None = None
        self._ended = asyncio.Event()
        self._asked = ""  # why this agent ends it
        self._silent = ""
        self._crash = ""
        self._is_mute = False
        self._begun: dict[int, int] = {}  # passes, by loop
        self._outgoing: Outgoing | None = None
        self._news = asyncio.Event()  # an order, or a wish to be heard
        self._way_s = 0.0
        self._over = False
        self._stored = False  # whether the server has taken all that was recorded until now

    @property
    def crashed(self) -> bool:
        """Whether its engine was lost here, or failed."""
        return bool(self._crash)

    def stop(self, why: str) -> None:
        """End its load, and deliver."""
        self._asked = self._asked or why
        if self._engine is not None:
            self._engine.stop()
        self._news.set()

    async def run(self) -> Served | None:
        """None: it was not given to this agent, or nothing of it was begun."""
        renewing = asyncio.create_task(self._renew())
        try:
            data = await self._plan()
            if data is None:
                return None
            return await self._make(data)
        finally:
            renewing.cancel()

    def _say(self, text: str) -> None:
        self._told(f"{self._facts.id}: {text}")

    # -- the lease

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            await attempt(self._message.in_progress(), "renewing a lease")

    async def _give_back(self, delay_s: float | None = None) -> None:
        await attempt(self._message.nak(delay=delay_s), "giving a lease back")

    async def _plan(self) -> bytes | None:
        """The package of the shard, piece by piece; None: it is not for this agent now."""
        data, total = b"", 1
        while len(data) < total:
            if self._asked:
                await self._give_back()
                return None
            question = {**self._name(), "offset": len(data), "version": self._facts.version, "protocol": self._facts.protocol}
            question |= {"native": self._facts.native, "cores": self._facts.cores}
            answer = await self._link.ask(self._subjects.plan, question, PLAN_S)
            if answer is None:
                LOG.info("nobody answers for the run %s", self.run_id)
                await self._give_back(2.0)
                return None
            headers = answer.headers or {}
            if refusal := headers.get("refused", ""):
                if headers.get("say"):
                    self._say(f"the run {self.run_id} refused: {headers['say']}")
                if refusal == "over":
                    await attempt(self._message.term(), "ending a lease")
                else:
                    await self._give_back(float(headers.get("again", "1")))
                    await asyncio.sleep(float(headers.get("pause", "0")))
                return None
            total = int(headers["bytes"])
            self._from_ns = int(headers["from_s"]) * 10**9
            self._of = int(headers["shards"])
            data += answer.data
        self._heard_s = time.monotonic()
        return data

    def _name(self) -> dict[str, object]:
        facts = self._facts
        return {"shard": self.number, "epoch": self._epoch, "agent": facts.id, "host": facts.host, "flow_run": facts.flow_run}

    def standing(self) -> Standing | None:
        """None before its plan is here. May be called from any thread."""
        if not self._loops:
            return None
        ran_s = max(0.0, (time.monotonic_ns() - self._own_ns) / 1e9) if self._released else 0.0
        planned_s = self._planned_s
        return Standing(self.number, self._of, self._phase, self._hits(len(self._loops)), ran_s, planned_s)

    def _hits(self, loops: int) -> int:
        return sum(self._rows_of(place) for place in range(loops))

    def _rows_of(self, place: int) -> int:
        path = loop_files(self._folder, place)["hits"]
        return row_count(path) if path.exists() else 0

    # -- the load

    async def _make(self, data: bytes) -> Served:
        later = f", from {self._from_ns // 10**9} s on" if self._from_ns else ""
        self._say(f"has share {self.number + 1} of {self._of} of the run {self.run_id}{later}")
        self._folder.mkdir(0o700, parents=True)
        saying = self._folder / "said.ndjson"
        beating = asyncio.create_task(self._beat())
        shipping: asyncio.Task[None] | None = None
        orders = await self._link.follow(self._subjects.order, self._on_order)
        try:
            with saying.open("wb", buffering=0) as self._said:
                loops = 1
                try:
                    package = unpack(data, self._folder / "files")
                    loops = len(package.loops)
                    await self._compare_clocks()
                    await self._start(package)
                except (CommandError, RunError, OSError, ValueError) as error:
                    self._tell(Failed(0, str(error)))
                    self._ended.set()
                self._outgoing = Outgoing(self._paths(loops), self._from_ns)
                shipping = asyncio.create_task(self._ship())
                await self._ended.wait()
                await self._close_engine()
            self.is_making = False
            self._phase = "delivering"
            self._further_s = time.monotonic()
            if self._asked or self._crash:
                await self._give_back(None if self._asked else 0.5)
            problem = await self._deliver()
            if not problem:
                self._phase = "delivered"
                await self._link.ask(self._subjects.beat, self._state(), ASK_S)
            if not (self._asked or self._crash):
                await attempt(self._message.ack(), "ending a lease")
        finally:
            beating.cancel()
            await attempt(orders.unsubscribe(), "the orders of a run")
            if shipping is not None:
                shipping.cancel()
            await self._close_engine()
        hits = self._hits(loops)
        if not problem:
            shutil.rmtree(self._folder, ignore_errors=True)
        served = Served(self.run_id, hits, problem, self.number, self._asked or self._crash or self._silent)
        told = problem if problem else f"{counted(hits, 'hit')}, all received by the coordinator"
        self._say(f"the run {self.run_id} is over for this share: {told}")
        return served

    async def _start(self, package: Package) -> None:
        """`fenced` before anything of the coordinator's could say otherwise."""
        refuse_python(package.plans[0], os.environ)
        plans = [fenced(plan, os.environ, self._facts.slots * len(package.plans)) for plan in package.plans]
        loops = [{**loop, "plan": plan.to_json()} for loop, plan in zip(package.loops, plans, strict=True)]
        plan = plans[0]
        deadline_s = None if plan.duration_s is None else plan.duration_s + plan.drain_s + START_ALLOWANCE_S
        job = agent_job(self._folder.resolve(), package.module, loops, number=self.number, deadline_s=deadline_s, silent_s=SILENT_S)
        self._planned_s = plan.duration_s
        self._loops = [int(loop["shard"]) for loop in loops]
        loop = asyncio.get_running_loop()
        # on a busy machine a process may take seconds to begin: beats go on, or the share would be another agent's by then
        self._engine = await loop.run_in_executor(None, partial(Engine, job, package.env, own_session=False))
        if self._asked:
            self._engine.stop()
        loop.add_reader(self._engine.fileno(), self._read_engine)

    def _read_engine(self) -> None:
        assert self._engine is not None
        try:
            for message in self._engine.messages(0):
                self._hear(message)
        except RunError as error:
            self._crash = self._crash or str(error)
            self._engine_gone()

    def _hear(self, message: Message) -> None:
        """In the run's time, and with the number of the loop in this process."""
        if isinstance(message, SupervisorEnd):
            codes = [code for code in message.exit_codes if code]
            if codes and message.reason not in ("stopped", "parent silent") and not self._crash:
                from loadflow.engine.process.launch import describe_exit

                self._crash = f"its engine {describe_exit(codes[0])}"
                self._tell(Failed(0, self._crash))
            self._engine_gone()
            return
        if isinstance(message, Ready | Tick | Flush | Done | Stood | Failed):
            place = self._loops.index(message.shard) if message.shard in self._loops else 0
            from_s = self._from_ns // 10**9
            message = replace(message, shard=place)
            match message:
                case Tick():
                    ran_s = None if message.ran_s is None else message.ran_s + from_s
                    message = replace(message, until_s=message.until_s + from_s, ran_s=ran_s)
                    self._begun[place] = message.passes.started
                case Flush():
                    message = replace(message, until_ns=message.until_ns + self._from_ns)
                case Done():
                    message = replace(message, ran_s=message.ran_s + from_s)
                case Stood():
                    message = replace(message, since_s=message.since_s + from_s)
                case Failed():
                    self._crash = self._crash or message.text
                case Ready():
                    self._phase = "ready"
                    self._news.set()
            self._tell(message)

    def _tell(self, message: Ready | Tick | Flush | Done | Stood | Failed) -> None:
        """A disk that takes no more ends the load here; its last words travel with a beat."""
        if self._is_mute:
            return
        line = encode(message).encode() + b"\n"
        try:
            with told_disk(self._folder):
                if self._said.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except RunError as error:
            self._is_mute = True
            self._crash = self._crash or str(error)
            if self._engine is not None:
                self._engine.stop()

    def _engine_gone(self) -> None:
        assert self._engine is not None
        asyncio.get_running_loop().remove_reader(self._engine.fileno())
        self._ended.set()

    async def _close_engine(self) -> None:
        """It may take its grace, in which beats go on."""
        engine, self._engine = self._engine, None
        if engine is not None:
            with contextlib.suppress(ValueError):
                asyncio.get_running_loop().remove_reader(engine.fileno())
            await asyncio.get_running_loop().run_in_executor(None, engine.__exit__, None, None, None)

    # -- orders

    async def _beat(self) -> None:
        while True:
            sent_ns = time.monotonic_ns()
            answer = await self._link.ask(self._subjects.beat, self._state(), ASK_S)
            if answer is not None:
                with _told_if_strange():
                    self._take_answer(said(answer.data), sent_ns)
            elif self._is_silent():
                self._end_silent()
            self._news.clear()
            pause_s = SLOWLY_S if self._silent else BEAT_S
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._news.wait(), pause_s)

    def _state(self) -> dict[str, object]:
        return {
            **self._name(),
            "phase": self._phase,
            "armed_ns": self._armed_ns,
            "clock_error_s": self._clock.error_s,
            "way_s": self._way_s,
            "folder": str(self._folder),
            "rows": [self._rows_of(place) for place in range(len(self._loops))],
            "crash": self._crash,
            "begun": [self._begun.get(place, 0) for place in range(len(self._loops))],
        }

    def _is_silent(self) -> bool:
        return time.monotonic() - self._heard_s > SILENT_S

    def _end_silent(self) -> None:
        if not self._silent:
            self._silent = f"nothing was heard of the coordinator for {SILENT_S:g} s"
            self._say(f"{self._silent}; ending the load")
        if self._engine is not None:
            self._engine.stop(DRAIN_S)

    def _take_answer(self, answer: JsonObject, sent_ns: int) -> None:
        if self._is_silent() and self._engine is not None:
            # this process stood still: others may make this shard by now
            self._end_silent()
        self._heard_s = time.monotonic()
        self._clock.heard(sent_ns, int(answer["coordinator_ns"]), time.monotonic_ns())
        self.open_shards = bool(answer.get("open"))
        if self._outgoing is not None and self._outgoing.arrived(answer.get("have") or {}):
            self._further_s = time.monotonic()
        self._obey(answer["order"])
        if self._engine is not None and not self._silent:
            self._engine.beat()

    async def _on_order(self, message: Msg) -> None:
        with _told_if_strange():
            self._obey(said(message.data))
        self._news.set()

    def _obey(self, order: JsonObject) -> None:
        phase = order["phase"]
        if phase == "over":
            self._over = True
        if phase == "end":
            if self._engine is not None:
                self._engine.over()
            return
        if phase in ("stop", "leave", "over") or (phase == "go" and order["held"].get(str(self.number)) != self._epoch):
            if self._engine is not None:
                self._engine.stop()
            return
        self._order = order
        if phase == "go" and not self._released and self._phase == "ready":
            origin_ns = int(order["origin_ns"])
            if self._armed_ns != origin_ns:
                self._armed_ns = origin_ns
                self._news.set()
                asyncio.get_running_loop().create_task(self._release(origin_ns))

    async def _release(self, origin_ns: int) -> None:
        """Let the engine begin, unless its start was moved meanwhile."""
        own_ns = origin_ns - self._clock.ahead_ns + self._from_ns
        await asyncio.sleep(max(0.0, (own_ns - RELEASE_NS - time.monotonic_ns()) / 1e9))
        if self._is_silent():
            self._end_silent()  # this process stood still: others may make this shard by now
            return
        if origin_ns == int(self._order.get("origin_ns", 0)) and not self._released and self._engine is not None:
            self._released = True
            self._phase = "running"
            self._own_ns = own_ns
            self._engine.go((own_ns, int(self._order["origin_unix_ns"]) + self._from_ns))

    async def _compare_clocks(self) -> None:
        ways = []
        for _ in range(WINDOW):
            sent_ns = time.monotonic_ns()
            answer = await self._link.ask(self._subjects.time, {}, ASK_S)
            if answer is not None:
                now_ns = time.monotonic_ns()
                ways.append(now_ns - sent_ns)
                self._clock.heard(sent_ns, int(said(answer.data)["coordinator_ns"]), now_ns)
        if not ways:
            raise RunError("the coordinator did not say what time it is")
        self._way_s = max(ways) / 1e9

    # -- what was recorded

    def _paths(self, loops: int) -> dict[str, Path]:
        paths = {"log": self._folder / f"engine-{self.number}.log", "said": self._folder / "said.ndjson"}
        for place in range(loops):
            paths |= {f"{kind}.{place}": path for kind, path in loop_files(self._folder, place).items()}
        return {name: paths[name] for name in files_of(loops)}

    async def _ship(self) -> None:
        """What was recorded, as it comes."""
        assert self._outgoing is not None
        subject = self._subjects.out(self.number, self._epoch)
        room = Room()
        while True:
            parts = self._outgoing.next_parts(rows=self._released, most_bytes=room.most_bytes)
            self._stored = not parts and self._outgoing.all_sent
            if not parts:
                if not self._outgoing.is_over and self._outgoing.all_sent and time.monotonic() - self._further_s > STUCK_S:
                    self._further_s = time.monotonic()
                    self._outgoing.again()
                await asyncio.sleep(SHIP_S)
                continue
            headers = [{"file": part.file, "offset": str(part.offset)} for part in parts]
            began_s = time.monotonic()
            taken = await asyncio.gather(*(self._link.publish(subject, part.data, head) for part, head in zip(parts, headers, strict=True)))
            room.took(sum(len(part.data) for part in parts), time.monotonic() - began_s)
            if not all(taken):
                self._outgoing.not_sent(parts[taken.index(False) :])
                await asyncio.sleep(BEAT_S)

    async def _deliver(self) -> str:
        """Until the coordinator has all; returns why it has not."""
        assert self._outgoing is not None
        until_s = time.monotonic() + KEPT_S
        while not self._outgoing.is_over:
            self._news.set()
            where = f"the hits of this share are in {self._folder}"
            if self._over:
                return f"the run ended without them; {where}"
            # asked to end, it waits for the server to have all; for one that is away it does not
            nobody = self._silent and self._asked and (self._stored or not self._link.is_up)
            if nobody or time.monotonic() > until_s:
                return f"{self._silent or 'they did not get away'}; {where}"
            await asyncio.sleep(SHIP_S)
        return ""


@contextlib.contextmanager
def _told_if_strange() -> Iterator[None]:
    """A message of the coordinator that is not as it should be is left out, and the log says so."""
    try:
        yield
    except (ValueError, KeyError, TypeError) as error:
        LOG.warning("left out a message of the coordinator that is not as it should be: %r", error)
