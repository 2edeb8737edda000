"""One worker process, for one run: joins the master, takes the plan, makes its share of the load, delivers every hit."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import gevent.event
from locust.env import Environment
from locust.runners import WorkerRunner

from loadflow.engine.cluster.keys import keys_of
from loadflow.engine.cluster.link import Link
from loadflow.engine.cluster.package import unpack
from loadflow.engine.cluster.stream import Outbox
from loadflow.engine.cluster.wire import WorkerSocket, use_sockets
from loadflow.engine.load.generate import Generator
from loadflow.engine.load.messages import Failed, Note, Served, encode
from loadflow.engine.plan.plan import Shard
from loadflow.engine.plan.secrets import redactor_of
from loadflow.engine.records.hitlog import row_count
from loadflow.errors import RunError

__all__ = ["work"]

LOG = logging.getLogger("loadflow.cluster")


class MasterLead:
    """The master at the other end of the link, in the place of a parent on a pipe."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.lost = ""
        self.shares_users = False  # with a pace: each worker has its own users, and a share of the passes

    def wait_for_go(self, end: gevent.event.AsyncResult) -> tuple[int, int] | None:
        self._link.phase = "ready"
        self._link.beat()
        waiting = gevent.spawn(self._link.wait_for, "go", "stop", "leave")
        gevent.wait([waiting, end], count=1)
        if not waiting.ready() or waiting.get() != "go":
            self.lost = self._link.lost
            return None
        self._link.phase = "running"
        return self._link.own_clock_ns(self._link.order["origin_ns"]), self._link.order["origin_unix_ns"]

    def watch(self, stop: Callable[[str], None]) -> None:
        if self._link.wait_for("stop", "leave"):
            why = str(self._link.order.get("why", ""))
        else:
            why = self.lost = self._link.lost
        self._link.refuse_spawns()
        stop(why)

    def runner(self, environment: Environment) -> Any:
        if self.shares_users:
            return environment.create_local_runner()
        use_sockets(client=lambda host, port, identity: self._link)
        # Locust would read a command line to find them
        environment.parsed_options = SimpleNamespace(web_base_path="")
        return _Runner(environment, "", 0)

    def user_done(self, finished: int) -> None:
        self._link.finished = finished
        self._link.beat()


class _Runner(WorkerRunner):  # type: ignore[misc]  # locust is not typed for subclassing
    """Locust's worker, without what the link does: heartbeats, statistics and logs."""

    def heartbeat(self) -> None:
        pass

    def heartbeat_timeout_checker(self) -> None:
        pass

    def stats_reporter(self) -> None:
        pass

    def logs_reporter(self) -> None:
        pass

    def stop(self) -> None:
        self.client.refuse_spawns()
        super().stop()


def work(job: Mapping[str, Any], messages: Any) -> None:
    """Raises RunError when the master refuses this worker."""

    def say(message: Any) -> None:
        print(encode(message), file=messages, flush=True)

    place = f"{job['host']}:{job['port']}"
    socket = WorkerSocket(job["host"], job["port"], job["identity"], keys_of(job["token"]))
    link = Link(socket)
    asked = gevent.event.AsyncResult()
    gevent.signal_handler(signal.SIGTERM, asked.set, "a stop was asked for")
    say(Note(job["shard"], f"waiting for a master at {place}"))
    joining = gevent.spawn(_join, link, lambda text: say(Note(job["shard"], text)))
    gevent.wait([joining, asked], count=1)
    if not joining.ready() or not joining.get():
        link.end()
        return
    folder = Path(tempfile.mkdtemp(prefix="loadflow-worker-"))
    served = _serve(link, folder, place)
    link.end()
    if not served.problem:
        shutil.rmtree(folder)
    say(served)


def _join(link: Link, note: Callable[[str], None]) -> bool:
    """Until this worker has a share of a run; False when the master went away again."""
    told: dict[str, Any] = {}
    while (phase := link.wait_for("wait", "load", "full", "leave")) and phase != "leave":
        run = link.order["run"]
        if phase == "load":
            note(f"has share {link.order['shard'] + 1} of {link.order['shards']} of the run {run}")
            return True
        if told != {phase: run}:
            told = {phase: run}
            note(f"joined the run {run}" if phase == "wait" else f"the run {run} has all its workers; waiting for the next one")
        while link.order["phase"] == phase and not link.lost:
            link.changed.clear()
            link.changed.wait(0.1)
    if link.order.get("why"):
        raise RunError(str(link.order["why"]))
    return False


def _serve(link: Link, folder: Path, place: str) -> Served:
    order = link.order
    names = {"names": "names.ndjson", "samples": "samples.ndjson", "spans": "spans.ndjson", "hits": "hits.bin", "said": "said.ndjson"}
    files = {key: folder / name for key, name in names.items()}
    lead = MasterLead(link)
    link.phase = "loading"
    problem = ""
    with files["said"].open("w", encoding="utf-8", buffering=1) as said:
        link.stream(Outbox(files))
        mask: Callable[[str], str] = str
        try:
            link.compare_clocks()
            plan, env = unpack(link.fetch(order["package_bytes"]), folder / "files")
            os.environ.update(env)
            lead.shares_users = plan.pace is not None
            mask = redactor_of(plan, os.environ).text
            shard = Shard(order["shard"], order["shards"])
            paths = {name: files[name] for name in ("hits", "names", "samples", "spans")}
            generator = Generator(plan.for_shard(shard), shard.index, shard.count, paths, said, lead)
            generator.run()
        except Exception as error:
            LOG.exception("this worker failed")
            problem = mask(f"{type(error).__name__}: {error}" if not isinstance(error, RunError) else str(error))
            said.write(encode(Failed(order["shard"], problem)) + "\n")
    link.phase = "delivering"
    undelivered = link.deliver()
    hits = row_count(files["hits"]) if files["hits"].exists() else 0
    if undelivered and not problem:
        problem = f"{lead.lost or undelivered}; the hits of this worker are in {folder}"
    return Served(order["shard"], place, order["run"], hits, problem)
