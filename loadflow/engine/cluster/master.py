"""The master: an engine process that makes no load, but leads the workers that do, and writes what they recorded into the run folder.

Towards the parent it stands for as many shards as there are workers: it passes their messages on once the rows that they tell of
are in the folder, so everything after it (snapshots, budget, exporters, reports) is as in a local run. Users are started,
stopped and shared out anew by Locust's MasterRunner; the rest is said here, again and again, so that a lost message costs time only.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import gevent
import gevent.event
from locust import User
from locust.env import Environment
from locust.event import Events
from locust.exception import RPCError
from locust.rpc.protocol import Message
from locust.runners import MasterRunner, WorkerNode

from loadflow.engine.cluster.keys import keys_of
from loadflow.engine.cluster.package import pack
from loadflow.engine.cluster.roster import LIVE, PROTOCOL, Member, Rules, too_few
from loadflow.engine.cluster.stream import Inbox
from loadflow.engine.cluster.wire import MasterSocket, use_sockets
from loadflow.engine.load.lead import ParentLead, run_stages
from loadflow.engine.load.messages import Done, Failed, Flush, Note, Ready, Tick, decode, encode
from loadflow.engine.plan.plan import Plan
from loadflow.engine.records.health import Health
from loadflow.engine.records.hitlog import row_count
from loadflow.engine.records.run import write_atomically
from loadflow.engine.records.workers import WorkerRecord, WorkerState, workers_text
from loadflow.errors import RunError

__all__ = ["lead_workers"]

LOG = logging.getLogger("loadflow.cluster")
ORDER_S = 0.5
REGISTER_S = 5.0  # for all workers to be known to Locust, once the load has begun
PART_BYTES = 256 * 1024


class _Master:
    def __init__(self, job: Mapping[str, Any], messages: Any) -> None:
        self._plan = Plan.from_json(job["plan"])
        self._rules = Rules(**job["rules"])
        self._run_id = str(job["run"])
        self._paths = [{name: Path(path) for name, path in files.items()} for files in job["files"]]
        self._workers_path = Path(job["workers"])
        self._messages = messages
        self._package = pack(self._plan, os.environ)
        self._members: dict[str, Member] = {}
        self._inboxes: dict[str, Inbox] = {}
        self._absent: list[int] = []
        self._open = True
        self._phase = "wait"
        self._why = ""
        self._origin: tuple[int, int] | None = None
        self._end: gevent.event.AsyncResult = gevent.event.AsyncResult()
        self._fatal: BaseException | None = None
        self._changed = gevent.event.Event()
        self._ramp: gevent.Greenlet | None = None
        keys = keys_of(job["token"])
        use_sockets(server=lambda host, port: MasterSocket(host, port, keys, self._refused))
        environment = Environment(user_classes=[_plan_user()], events=Events(), stop_timeout=self._plan.drain_s, catch_exceptions=False)
        self._runner = _Runner(environment, job["host"], job["port"], self)

    # -- the run, from the first worker to the last row

    def run(self) -> None:
        gevent.signal_handler(signal.SIGTERM, self._stop, "a stop was asked for")
        gevent.spawn(self._order_all)
        gevent.spawn(self._watch_members)
        self._say(Note(0, f"waiting for workers on port {self._runner.server.port}"))
        if self._gather() and self._share_out():
            lead = ParentLead()
            self._origin = lead.wait_for_go(self._end)
            if self._origin is not None:
                gevent.spawn(lead.watch, self._stop)
                self._make_load()
        self._leave()
        if self._fatal is not None:
            raise self._fatal

    def _gather(self) -> bool:
        """Until the workers are there that are expected, or the time is over; False for a stop before that."""
        self._wait(lambda: len(self._live()) >= self._rules.expected, self._rules.startup_s)
        if self._end.ready():
            return False
        if problem := too_few(self._live(), self._rules, "came"):
            raise RunError(problem)
        self._open = False
        return True

    def _share_out(self) -> bool:
        """Give each worker its share, and wait until all have compiled it."""
        for shard, member in enumerate(self._live()[: self._rules.expected]):
            member.shard = shard
            self._inboxes[member.id] = Inbox(self._paths[shard])
        self._absent = list(range(len(self._inboxes), self._rules.expected))
        self._set_phase("load")
        self._wait(lambda: all(member.ready for member in self._live()), self._rules.startup_s)
        if self._end.ready():
            return False
        for member in self._shared():
            if member.state in LIVE and not member.ready:
                self._lose(member, "it was not ready in time")
        ready = [member for member in self._live() if member.ready]
        if problem := too_few(ready, self._rules, "were ready"):
            problems = "; ".join(f"{member.id} on {member.host}: {member.message}" for member in self._shared() if member.message)
            raise RunError(f"{problem}{f' — {problems}' if problems else ''}")
        for shard in range(self._rules.expected):
            self._say(Ready(shard))
        return True

    def _make_load(self) -> None:
        assert self._origin is not None
        for member in self._live():
            member.state = WorkerState.RUNNING
        for shard in self._absent:
            self._say(Done(shard, 0, 0.0, "", Health()))
        for member in self._shared():
            if member.state is WorkerState.LOST:  # before the load began: it never made any
                member.state = WorkerState.ABSENT
                self._say(Done(member.shard, 0, 0.0, "", Health()))
        self._set_phase("go")
        self._note_workers()
        stages = gevent.spawn(self._run_stages)
        self._wait(lambda: not self._live(), None)
        stages.kill()
        self._note_workers()
        if self._fatal is None and all(member.state is WorkerState.LOST for member in self._shared()):
            raise RunError(f"every worker was lost: {'; '.join(f'{one.id} on {one.host}: {one.message}' for one in self._shared())}")

    def _leave(self) -> None:
        self._set_phase("leave")
        self._runner.server.close()

    # -- what workers say

    def take(self, sender: str, kind: str, data: Any) -> None:
        """A message of ours. Raises what a message that is not as it should be leads to; OSError when the disk is full."""
        now_s = time.monotonic()
        member = self._members.get(sender)
        if kind == "lf-beat":
            if data["info"]["protocol"] != PROTOCOL:
                why = f"it speaks version {data['info']['protocol']} of the protocol, and this master {PROTOCOL}; install the same loadflow"
                LOG.warning("refused %s on %s: %s", sender, data["info"]["host"], why)
                self._tell(sender, "lf-order", {"phase": "leave", "run": self._run_id, "beat_s": 1.0, "why": f"the master refused: {why}"})
                return
            if member is None:
                member = self._join(sender, now_s)
            if member is not None:
                member.told(data, now_s)
                self._count_finished()
            self._order(sender)
            return
        if member is None:
            return
        member.heard_s = now_s
        if kind == "lf-fetch":
            offset = int(data["offset"])
            self._tell(sender, "lf-part", {"offset": offset, "data": self._package[offset : offset + PART_BYTES]})
        elif kind == "lf-ping":
            self._tell(sender, "lf-pong", {"sent_ns": data["sent_ns"], "master_ns": time.monotonic_ns()})
        elif kind == "lf-bye" and member.state in LIVE:
            self._lose(member, "it went away")
        elif kind == "lf-batch" and member.state in LIVE:
            self._take_batch(member, data["parts"], now_s)
        self._changed.set()

    def _take_batch(self, member: Member, parts: list[Any], now_s: float) -> None:
        inbox = self._inboxes[member.id]
        member.progress_s = now_s
        for line in inbox.take([(str(name), int(offset), bytes(data)) for name, offset, data in parts]):
            self._obey(member, line)
        self._tell(member.id, "lf-ack", inbox.offsets)

    def _obey(self, member: Member, line: str) -> None:
        message = decode(line)
        match message:
            case Ready():
                member.ready = True
            case Tick():
                member.health, member.recorded_s = message.health, message.until_s
                member.passes = (message.started, message.dropped)
                self._runner.count_users(member.id, message.health.users)
                self._say(replace(message, shard=member.shard))
            case Flush():
                self._say(replace(message, shard=member.shard))
            case Done():
                member.recorded_s = message.ran_s
                left = bool(message.stopped) and self._phase != "stop"
                self._finish(member, WorkerState.LEFT if left else WorkerState.FINISHED)
                self._say(replace(message, shard=member.shard, stopped="" if left else message.stopped))
            case Failed():
                self._lose(member, message.text)
            case _:
                LOG.warning("left out what is no message of an engine, from %s", member.id)

    def _join(self, sender: str, now_s: float) -> Member | None:
        if not self._open:
            return None
        self._members[sender] = member = Member(sender, now_s, now_s)
        self._changed.set()
        return member

    def _count_finished(self) -> None:
        if self._plan.ends_with_users and self._phase == "go":
            finished = sum(member.finished for member in self._live())
            if finished >= self._plan.users:
                self._stop("")

    def _refused(self, peer: str) -> None:
        LOG.warning("refused a worker at %s: it does not have the token of this master", peer)
        self._say(Note(0, f"refused a worker at {peer}: it does not have the token of this master"))

    # -- what workers are told

    def _order_all(self) -> None:
        while True:
            for sender in list(self._members):
                self._order(sender)
            gevent.sleep(ORDER_S)

    def _order(self, sender: str) -> None:
        member = self._members.get(sender)
        order: dict[str, Any] = {"run": self._run_id, "beat_s": self._rules.beat_s, "phase": self._phase, "why": self._why}
        if member is None or (member.shard < 0 and self._phase != "wait"):
            order["phase"] = "full"
        elif member.shard >= 0:
            order |= {"shard": member.shard, "shards": len(self._inboxes), "package_bytes": len(self._package)}
            if self._origin is not None:
                order |= {"origin_ns": self._origin[0], "origin_unix_ns": self._origin[1]}
            if member.state in (WorkerState.LOST, WorkerState.ABSENT):
                order |= {"phase": "leave", "why": "the master gave this worker up"}
        self._tell(sender, "lf-order", order)

    def _tell(self, sender: str, kind: str, data: dict[str, Any]) -> None:
        try:
            self._runner.server.send_to_client(Message(kind, data, sender))
        except RPCError as error:
            LOG.warning("not sent to %s: %s", sender, error)

    def _set_phase(self, phase: str) -> None:
        self._phase = phase
        for sender in list(self._members):
            self._order(sender)

    # -- users

    def _start(self, users: int, rate: float) -> None:
        """Locust's start takes as long as the ramp, and a next one replaces it."""
        if self._end.ready():
            return
        if self._ramp is not None:
            self._ramp.kill()
        self._ramp = gevent.spawn(self._runner.start, users, spawn_rate=rate)

    def _run_stages(self) -> None:
        """A pace is shared out from the start: each worker has its passes, and its own users for them."""
        if self._plan.pace is None:
            self._wait(self._all_registered, REGISTER_S)
            run_stages(self._plan.stages, self._now_ns, self._start)

    def share_anew(self) -> None:
        if self._phase == "go" and self._runner.spawn_rate and self._live():
            self._start(self._runner.target_user_count, self._runner.spawn_rate)

    def _all_registered(self) -> bool:
        return all(member.id in self._runner.clients for member in self._live())

    # -- ends

    def _stop(self, why: str) -> None:
        """Workers end their users and deliver what they have."""
        if self._end.ready():
            return
        self._end.set(why)
        self._why = why
        if self._ramp is not None:
            self._ramp.kill(block=False)
        if self._phase == "go":
            self._set_phase("stop")
        self._changed.set()

    def fail(self, error: BaseException) -> None:
        """This process can't go on: its disk is full."""
        self._fatal = self._fatal or error
        self._stop(str(error))
        for member in self._live():
            member.state = WorkerState.LOST
        self._changed.set()

    def _watch_members(self) -> None:
        while True:
            gevent.sleep(ORDER_S)
            now_s = time.monotonic()
            for member in self._live() + [one for one in self._members.values() if one.shard < 0]:
                if why := member.silence(now_s, self._rules):
                    self._lose(member, why)

    def _lose(self, member: Member, why: str) -> None:
        if member.shard < 0:
            self._members.pop(member.id, None)
            return
        LOG.warning("lost %s on %s: %s", member.id, member.host, why)
        began = member.state is WorkerState.RUNNING
        member.message = why
        self._finish(member, WorkerState.LOST)
        if began:
            path = self._paths[member.shard]["hits"]
            rows = row_count(path) if path.exists() else 0
            self._say(Note(0, f"lost worker {member.id} on {member.host}: {why}"))
            self._say(Done(member.shard, rows, member.ended_s or 0.0, "", replace(member.health, users=0, in_flight=0), *member.passes))

    def _finish(self, member: Member, state: WorkerState) -> None:
        member.state = state
        if state is not WorkerState.FINISHED and self._origin is not None:
            member.ended_s = self._now_ns() / 1e9
        if state in (WorkerState.LOST, WorkerState.LEFT):
            self._runner.forget(member.id)
            self.share_anew()
        if self._origin is not None:
            self._note_workers()
        self._changed.set()

    # -- small things

    def _shared(self) -> list[Member]:
        return [member for member in self._members.values() if member.shard >= 0]

    def _live(self) -> list[Member]:
        members = self._shared() if not self._open and self._inboxes else list(self._members.values())
        return [member for member in members if member.state in LIVE]

    def _wait(self, there: Callable[[], bool], limit_s: float | None) -> None:
        """Until it is so, a stop (before the load only), or the time is over."""
        until = None if limit_s is None else time.monotonic() + limit_s
        while not there() and (until is None or (time.monotonic() < until and not self._end.ready())):
            self._changed.clear()
            self._changed.wait(0.1)

    def _now_ns(self) -> int:
        assert self._origin is not None
        return time.monotonic_ns() - self._origin[0]

    def _note_workers(self) -> None:
        absent = [WorkerRecord(shard, "", "", WorkerState.ABSENT) for shard in self._absent]
        write_atomically(self._workers_path, workers_text([*(member.record() for member in self._shared()), *absent]))

    def _say(self, message: Any) -> None:
        try:
            self._messages.write(encode(message) + "\n")
        except (BrokenPipeError, ValueError):
            self._stop("the parent is gone")


class _Runner(MasterRunner):  # type: ignore[misc]  # locust is not typed for subclassing
    """Locust's master for users alone. Who is lost, and when the load ends, is ours to say."""

    def __init__(self, environment: Environment, host: str, port: int, master: _Master) -> None:
        self._master = master
        super().__init__(environment, host, port)

    def heartbeat_worker(self) -> None:
        """Locust counts beats and waits with users until a ramp is over."""

    def handle_message(self, client_id: str, msg: Message) -> None:
        """Whatever a message holds, the next one is heard."""
        try:
            if msg.type.startswith("lf-"):
                self._master.take(client_id, msg.type, msg.data)
            elif msg.type == "client_ready":
                self._register(client_id)
            elif msg.type in ("spawning", "spawning_complete", "exception") and client_id in self.clients:
                super().handle_message(client_id, msg)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            LOG.warning("left out a %s of %s that is not as it should be: %r", msg.type, client_id, error)
        except OSError as error:
            self._master.fail(error)

    def check_stopped(self) -> None:
        """The load ends when ours does."""

    def count_users(self, client_id: str, users: int) -> None:
        if client_id in self.clients:
            self.clients[client_id].user_classes_count = {self.user_classes[0].__name__: users}

    def forget(self, client_id: str) -> None:
        """No more users for this one."""
        if client_id in self.clients:
            node = self.clients.pop(client_id)
            if self._users_dispatcher is not None:
                self._users_dispatcher.remove_worker(node)

    def _register(self, client_id: str) -> None:
        """In Locust's own way this would start the ramp anew, in the greenlet that listens."""
        self.send_message("ack", client_id=client_id, data={"index": self.get_worker_index(client_id)})
        known = client_id in self.clients
        self.clients[client_id] = WorkerNode(client_id)
        if not known and self._users_dispatcher is not None:
            self._users_dispatcher.add_worker(worker_node=self.clients[client_id])
            self._master.share_anew()


def _plan_user() -> type[User]:
    """What Locust shares out: as many of it as there are users, by the name that it has in the workers."""

    class PlanUser(User):  # type: ignore[misc]  # locust is not typed for subclassing
        host = ""
        tasks: ClassVar[list[Any]] = [print]  # none is ever run here, but Locust warns about users without

    return PlanUser


def lead_workers(job: Mapping[str, Any], messages: Any) -> None:
    """Raises RunError when the load can't begin, or no worker is left."""
    _Master(job, messages).run()
