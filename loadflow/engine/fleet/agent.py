"""An agent: takes shards of loads from a NATS server, makes each with an engine of its own, and delivers what was recorded."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from loadflow.engine.fleet.access import Access
from loadflow.engine.fleet.connection import Link, attempt, connect, said, trouble
from loadflow.engine.fleet.lease import Lease, Served, Standing
from loadflow.engine.fleet.package import rate_cap
from loadflow.engine.fleet.probes import Probes
from loadflow.engine.fleet.subjects import AGENTS, PROTOCOL, QUEUE, WHO, Subjects, shard_of
from loadflow.engine.generator.native.fit import is_built
from loadflow.engine.machine.facts import version_of
from loadflow.engine.machine.kept import calibration_path, read_calibration
from loadflow.engine.plan.target import allowed_by_environment
from loadflow.errors import RunError

if TYPE_CHECKING:
    from nats.aio.msg import Msg
    from nats.js import JetStreamContext

__all__ = ["Agent", "AgentFacts", "facts_of_this_machine", "run_agent"]

LOG = logging.getLogger("loadflow.fleet")
FETCH_S = 2.0
LOOK_S = 0.1
GONE_S = 10.0  # without a word of the only run that is served
NOTHING_S = 0.5  # between two questions for a shard, where there is no queue yet
# after an engine was lost here others come first: what ended it (a full disk, too little memory) may well end the next one. Twice as long
# each time
RECOVER_S, MOST_RECOVER_S = 3.0, 60.0


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """What an agent says of itself. `slots`: shards at a time; `ceilings`: hits per second of all cores, by engine, as calibrated.
    `flow_run`: the id of the flow run that it is, where a work pool has started it."""

    id: str
    host: str
    version: str
    protocol: int
    cores: int
    slots: int
    native: bool
    ceilings: dict[str, int]
    allowed_hosts: list[str] | None
    max_rate_per_s: float | None
    flow_run: str = ""


def facts_of_this_machine(slots: int | None, flow_run: str = "") -> AgentFacts:
    """`slots` None: one for each core. Raises CommandError for a rate cap that is none."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    host = socket.gethostname()
    allowed = allowed_by_environment(os.environ)
    calibration = read_calibration(calibration_path(os.environ))
    ceilings = {name: round(one.hits_per_s * cores) for name, one in calibration.engines.items()} if calibration is not None else {}
    return AgentFacts(
        id=f"{host}-{uuid.uuid4().hex[:8]}".replace(".", "-"),
        host=host,
        version=version_of("loadflow"),
        protocol=PROTOCOL,
        cores=cores,
        slots=slots or cores,
        native=is_built(),
        ceilings=ceilings,
        allowed_hosts=None if allowed is None else list(allowed),
        max_rate_per_s=rate_cap(os.environ),
        flow_run=flow_run,
    )


def run_agent(
    access: Access,
    *,
    slots: int | None,
    once: bool,
    say: Callable[[str], None],
    stop: Callable[[], str],
    probe_dir: Path | None = None,
) -> list[Served]:
    """Serve run after run until `stop` says why not; `once`: one run. Returns what was served of it. `probe_dir`: see `Probes`.

    Raises RunError when the server refuses, and CommandError for settings of this machine that are wrong.
    """
    return asyncio.run(Agent(access, slots=slots, once=once, say=say, stop=stop, probes=Probes(probe_dir)).serve())


class Agent:
    """`say` is called with what happens, in plain words. Everything is in one loop of asyncio, which an engine's pipe wakes up as well.

    `run`: the id of the only run that it serves, until that is over; "": all. `connect_s`: how long it waits for the server; None: ever.
    """

    def __init__(
        self,
        access: Access,
        *,
        slots: int | None,
        once: bool,
        say: Callable[[str], None],
        stop: Callable[[], str],
        probes: Probes | None = None,
        run: str = "",
        flow_run: str = "",
        connect_s: float | None = None,
    ) -> None:
        self.facts = facts_of_this_machine(slots, flow_run)
        self._access = access
        self._once = once
        self._say = say
        self._stop = stop
        self._probes = probes or Probes(None)
        self._leases: dict[tuple[str, int, int], Lease] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._served: list[Served] = []
        self._failed: BaseException | None = None
        self._run = run  # with `once`: the run that is served
        self._only = run
        self._gone = ""  # why there is nothing more to do for it
        self._crashes = 0  # in a row
        self._fit_s = 0.0  # when it takes shards again
        self._connect_s = connect_s

    def standings(self) -> list[Standing]:
        """Of all shards that it has now. May be called from any thread."""
        found = [lease.standing() for lease in tuple(self._leases.values())]
        return [one for one in found if one is not None]

    async def serve(self) -> list[Served]:
        connecting = asyncio.create_task(connect(self._access, f"loadflow agent {self.facts.id}", patient=True, say=self._say))
        began_s = time.monotonic()
        while not connecting.done():
            self._probes.tell(ready=False)
            if self._connect_s is not None and time.monotonic() - began_s > self._connect_s:
                connecting.cancel()
                raise RunError(f"there is no NATS server at {self._access.place}, from {self.facts.host}, for {self._connect_s:g} s")
            if self._stop():
                connecting.cancel()
                return []
            await asyncio.wait([connecting], timeout=LOOK_S)
        link = connecting.result()
        folder = Path(tempfile.mkdtemp(prefix="loadflow-agent-"))
        try:
            await self._serve(link, folder)
        finally:
            await link.close()
            with contextlib.suppress(OSError):
                folder.rmdir()  # unless there are hits in it that are nowhere else
        return self._served

    async def _serve(self, link: Link, folder: Path) -> None:
        await self._register(link)
        queue = await link.stream.pull_subscribe_bind(consumer=AGENTS, stream=QUEUE)
        self._say(f"{self.facts.id}: waiting for work at {self._access.place}, {self.facts.slots} at a time")
        looking = asyncio.create_task(self._look_for_run(link)) if self._only else None
        fetching: asyncio.Task[list[Msg]] | None = None
        while not (why := self._stop()) and not self._is_over():
            self._probes.tell(ready=link.is_up)
            if fetching is None and self._has_room():
                fetching = asyncio.create_task(self._fetch(queue))
            if fetching is None:
                await asyncio.sleep(LOOK_S)
                continue
            await asyncio.wait([fetching], timeout=LOOK_S)
            if fetching.done():
                for message in fetching.result():
                    await self._take(link, message, folder)
                fetching = None
        self._probes.tell(ready=False)
        if looking is not None:
            looking.cancel()
        if fetching is not None:
            # the server may have given a shard for it already
            with contextlib.suppress(asyncio.TimeoutError):
                for message in await asyncio.wait_for(asyncio.shield(fetching), 0.2 if why else FETCH_S + 1):
                    await attempt(message.nak(), "the answer to a part or a shard")
        if why:
            for lease in self._leases.values():
                lease.stop(f"the agent was asked to end: {why}")
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._failed is not None:
            raise self._failed

    def _is_over(self) -> bool:
        return bool((self._gone or (self._once and self._served)) and not self._leases) or self._failed is not None

    def _has_room(self) -> bool:
        """A free slot; or a run of which it makes a part has lost another agent, and no agent is free."""
        if self._gone or (self._once and self._served):
            return False
        if time.monotonic() < self._fit_s or any(lease.crashed for lease in tuple(self._leases.values())):
            return False
        making = [lease for lease in self._leases.values() if lease.is_making]
        return len(making) < self.facts.slots or any(lease.open_shards for lease in making)

    async def _fetch(self, queue: JetStreamContext.PullSubscription) -> list[Msg]:
        import nats.errors
        import nats.js.errors

        try:
            messages: list[Msg] = await queue.fetch(1, timeout=FETCH_S)
        except (TimeoutError, nats.errors.TimeoutError):
            return []
        except trouble() as error:  # no run has been there yet, or the server is away
            LOG.debug("no shard: %s", error)
            await asyncio.sleep(NOTHING_S)
            return []
        return messages

    async def _take(self, link: Link, message: Msg, folder: Path) -> None:
        found = shard_of(message.subject)
        if found is None or (self._run and found[0] != self._run):
            await attempt(message.nak(delay=NOTHING_S), "the answer to a part or a shard")
            return
        if self._once:
            self._run = found[0]
        epoch = message.metadata.num_delivered
        key = (*found, epoch)
        lease = Lease(link, message, self.facts, *found, epoch, folder / f"{found[0]}-{found[1]}-{epoch}", self._say)
        self._leases[key] = lease
        task = asyncio.create_task(self._make(key, lease))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _make(self, key: tuple[str, int, int], lease: Lease) -> None:
        try:
            served = await lease.run()
            if served is not None:
                self._served.append(served)
                self._crashes = self._crashes + 1 if lease.crashed else 0
                if self._crashes:
                    self._fit_s = time.monotonic() + min(MOST_RECOVER_S, RECOVER_S * 2 ** (self._crashes - 1))
            elif not self._served and len(self._leases) == 1:
                self._run = self._only  # another run may be the one
        except Exception as error:
            LOG.exception("shard %d of the run %s failed", lease.number, lease.run_id)
            self._say(f"{self.facts.id}: shard {lease.number} of the run {lease.run_id} failed here: {error}")
        finally:
            del self._leases[key]

    async def _look_for_run(self, link: Link) -> None:
        """Until the only run that is served is over: its coordinator says so, or says nothing."""
        subjects = Subjects(self._only)

        async def on_order(message: Msg) -> None:
            if said(message.data)["phase"] == "over":
                self._gone = self._gone or f"the run {self._only} is over"

        await link.listen(subjects.order, on_order)
        heard_s = time.monotonic()
        while not self._gone:
            if await link.ask(subjects.time, {}, FETCH_S) is not None or self._leases:
                heard_s = time.monotonic()
            elif time.monotonic() - heard_s > GONE_S:
                self._gone = f"nobody answers for the run {self._only}"
            await asyncio.sleep(FETCH_S)

    async def _register(self, link: Link) -> None:
        """As a service that `nats micro ls` shows, and that answers who it is."""

        async def who(message: Msg) -> None:
            shards = [f"{lease.run_id}/{lease.number}" for lease in self._leases.values() if lease.is_making]
            await link.answer(message, {**asdict(self.facts), "shards": shards, "unix_ns": time.time_ns()})

        await link.listen(WHO, who)
        from nats.micro import add_service

        version = ".".join(([*self.facts.version.split("+")[0].split("."), "0", "0"])[:3])
        with contextlib.suppress(ValueError):  # a version of a development tree may be no semantic one
            await add_service(
                link.client,
                name="loadflow-agent",
                version=version,
                description="makes shards of loads",
                metadata={"id": self.facts.id, "host": self.facts.host, "cores": str(self.facts.cores), "native": str(self.facts.native)},
            )
