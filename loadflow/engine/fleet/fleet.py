"""A load that agents make, with the face of `process.launch.Engine`: for its parent there is no difference.

The connection to the NATS server lives in a thread of its own, with a loop of asyncio; messages come out of it by a queue. With a server of
its own a fleet also starts that, and the agents that are asked for on this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import secrets
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from loadflow.engine.fleet.access import Access, Keys, given_access
from loadflow.engine.fleet.broker import Broker
from loadflow.engine.fleet.children import ChildAgents
from loadflow.engine.fleet.connection import Link, connect
from loadflow.engine.fleet.coordinator import Coordinator
from loadflow.engine.fleet.members import Rules
from loadflow.engine.plan.cluster import Cluster, PoolOrder
from loadflow.engine.plan.plan import Plan
from loadflow.engine.process.launch import Job
from loadflow.engine.process.messages import Message, Note, SupervisorEnd
from loadflow.engine.records.run import Run
from loadflow.errors import RunError

__all__ = ["Fleet", "own_server", "start_fleets"]

T = TypeVar("T")
DELIVERY_GRACE_S = 10.0  # after an end by force: nothing is sent any more, but hits are still on their way
ANSWER_S = 30.0
POLL_S = 0.05
LEAD_S = 0.5  # from the order to the start of the load, at least; four ways to the slowest agent
MOVES = 8  # of the start, until it is not moved any more


class Fleet:
    """`job` and `plan` as for an `Engine`; `cluster` says where the agents are, and `pool` starts those of a work pool. `server`: that of
    a cluster without a URL, where it is not this load's alone. To be used as a context manager."""

    def __init__(
        self,
        job: Job,
        plan: Plan,
        run: Run,
        cluster: Cluster,
        env: Mapping[str, str],
        pool: Callable[[PoolOrder], AbstractContextManager[object]] | None = None,
        server: Broker | None = None,
    ) -> None:
        self._job = job
        self._plan = plan
        self._record = run
        self._cluster = cluster
        self._env = env
        self._pool = pool
        self._server = server
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._ended = False
        self._stack = ExitStack()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._link: Link | None = None
        self._coordinator: Coordinator | None = None

    def __enter__(self) -> Fleet:
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise
        return self

    def _open(self) -> None:
        cluster = self._cluster
        if cluster.url is None:
            broker = self._server or self._stack.enter_context(own_server(cluster, self._record.folder))
            access, agents, place = broker.access, broker.agent_access, broker.place
            self._messages.put(Note(0, f"waiting for agents at {place}"))
        else:
            access = agents = given_access(cluster.url, cluster.credentials, "--nats-url")
            place = access.place
        self._start_loop()
        # in this order: agents hear the last word before they are ended, and the server is the last to go
        self._stack.callback(self._stop_loop)
        if cluster.children:
            self._stack.enter_context(ChildAgents(cluster.children, agents, self._record.folder))
        self._call(self._begin(access))
        if cluster.pool:
            assert self._pool is not None
            # what is not begun is called off when agents have heard the last word
            try:
                self._stack.enter_context(self._pool(self._order(place)))
            except BaseException:
                self._close()
                raise
        self._stack.callback(self._close)

    def _order(self, place: str) -> PoolOrder:
        cluster, facts = self._cluster, self._record.facts
        title = facts.label or facts.script
        slots = max(1, len(self._job["engines"]) // cluster.expected)
        return PoolOrder(cluster.pool, cluster.expected, slots, facts.id, title, place, cluster.url is None, cluster.block)

    async def _begin(self, access: Access) -> None:
        self._link = await connect(access, f"loadflow run {self._record.facts.id}", patient=False)
        rules = Rules(self._cluster.startup_s, self._cluster.lost_s, self._cluster.degraded, self._cluster.delivery_s)
        self._coordinator = Coordinator(self._link, self._job, self._plan, self._record, rules, self._env, self._messages.put)
        await self._coordinator.start()

    def go(self) -> tuple[int, int]:
        """Start the load; returns its start on the monotonic clock and in Unix time, both in nanoseconds."""
        return start_fleets([self])

    def way_s(self) -> float:
        """How long an order is on its way to the slowest agent."""
        assert self._coordinator is not None
        return self._call(self._coordinator.ways_s())

    def arm(self, origin: tuple[int, int], way_s: float) -> Future[bool]:
        """Order this start; whether all agents have heard of it while it could still be moved."""
        assert self._coordinator is not None
        return self._asked(self._coordinator.arm(origin, way_s))

    def begin(self) -> None:
        """Begin at the start that was ordered last."""
        assert self._coordinator is not None
        self._call(self._coordinator.begun())

    def stop(self, grace_s: float | None = None) -> None:
        """Ask for an early end. More than once does no harm."""
        if self._coordinator is not None:
            self._call(self._coordinator.stop("a stop was asked for"))

    def over(self) -> None:
        """End the load as its planned time would: hits in flight have all of the drain. More than once does no harm."""
        if self._coordinator is not None:
            self._call(self._coordinator.finish())

    def messages(self, wait_s: float) -> Iterator[Message]:
        """The messages that came within `wait_s`."""
        until = time.monotonic() + wait_s
        while True:
            try:
                # short waits: a signal's exception is raised between two of them
                message = self._messages.get(timeout=min(POLL_S, max(0.0, until - time.monotonic())))
            except queue.Empty:
                if time.monotonic() >= until:
                    return
                continue
            self._ended = self._ended or isinstance(message, SupervisorEnd)
            yield message
            if self._messages.empty():
                return

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the load if it goes on, and take what is on its way."""
        try:
            if not self._ended:
                self.stop()
                until = time.monotonic() + DELIVERY_GRACE_S
                while not self._ended and time.monotonic() < until:
                    for _ in self.messages(0.2):
                        pass
        finally:
            self._stack.close()

    def _close(self) -> None:
        assert self._coordinator is not None
        with contextlib.suppress(RunError):
            self._call(self._coordinator.close())

    # -- the thread

    def _start_loop(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run_loop, name="loadflow-fleet", daemon=True)
        self._thread.start()

    def _run_loop(self) -> None:
        assert self._loop is not None
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _stop_loop(self) -> None:
        assert self._loop is not None
        loop = self._loop
        with contextlib.suppress(RunError):
            if self._link is not None:
                self._call(self._link.close())
        self._call(_cancel_all())
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join()
        loop.close()

    def _call(self, what: Coroutine[object, None, T]) -> T:
        return self._asked(what).result(timeout=ANSWER_S + self._cluster.startup_s)

    def _asked(self, what: Coroutine[object, None, T]) -> Future[T]:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(what, self._loop)


def own_server(cluster: Cluster, folder: Path) -> Broker:
    """The server of a cluster that names none, with its files in the `folder` of a run; not started yet."""
    keys = Keys.of(cluster.token or secrets.token_urlsafe(32))
    return Broker(folder / "broker", keys, host=cluster.host, port=cluster.port)


def start_fleets(fleets: Sequence[Fleet]) -> tuple[int, int]:
    """Start the loads of all of them at once: when their agents have all heard of the start, or it is moved. Returns it as `Fleet.go`."""
    way_s = max(fleet.way_s() for fleet in fleets)
    lead_s = max(LEAD_S, 4 * way_s)
    for _ in range(MOVES):
        origin = time.monotonic_ns() + round(lead_s * 1e9), time.time_ns() + round(lead_s * 1e9)
        asked = [fleet.arm(origin, way_s) for fleet in fleets]
        armed = [one.result(ANSWER_S + lead_s) for one in asked]
        if all(armed):
            break
        lead_s *= 2
    for fleet in fleets:
        fleet.begin()
    return origin


async def _cancel_all() -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
