"""A worker's machine, the parent's side: starts worker processes, tells what they do, and starts them anew after each run."""

from __future__ import annotations

import logging
import select
import shutil
import socket
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadflow.engine.load.launch import Engine, Job, describe_exit, worker_job
from loadflow.engine.load.messages import Failed, Message, Note, Served, SupervisorEnd
from loadflow.engine.plan.cluster import Cluster
from loadflow.errors import Interrupted, RunError

if TYPE_CHECKING:
    from loadflow.engine.session import Session

__all__ = ["WorkerProcess", "serve_master", "work_once"]

LOG = logging.getLogger("loadflow.cluster")
POLL_S = 0.25


class WorkerProcess:
    """One worker process for one run, below a supervisor of its own: the others go on without it."""

    def __init__(self, host: str, port: int, token: str, folder: Path, number: int) -> None:
        self.identity = f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}"
        self.served: Served | None = None
        self.failed = ""
        self.ended = False
        self._log = folder / f"worker-{number}.log"
        job: Job = {"shard": number, "host": host, "port": port, "token": token, "identity": self.identity}
        self.engine = Engine(worker_job(folder, self._log, job))

    def take(self, message: Message) -> str:
        """What to tell people; "" for nothing."""
        match message:
            case Note():
                return message.text
            case Served():
                self.served = message
                arrived = f"{message.hits:,} hits, all of them at the master" if not message.problem else message.problem
                return f"the run {message.run} is over for this worker: {arrived}"
            case Failed():
                self.failed = message.text
            case SupervisorEnd():
                self.ended = True
                code = message.exit_codes[0] if message.exit_codes else 0
                if code and not self.failed and message.reason not in ("stopped", "parent lost"):
                    self.failed = f"the worker process {describe_exit(code)}; its log ends with: {_tail(self._log)}"
            case _:
                pass
        return ""

    def close(self) -> None:
        self.engine.__exit__(None, None, None)


def serve_master(
    host: str, port: int, token: str, *, processes: int, once: bool, say: Callable[[str], None], stop: Callable[[], str]
) -> list[Served]:
    """Work for the master at this address, run after run, until `stop` says why not; with `once`, for one run.

    What each process served comes back with `once`. Raises RunError when the master refused the token, or a process failed.
    """
    folder = Path(tempfile.mkdtemp(prefix="loadflow-workers-"))
    slots = [WorkerProcess(host, port, token, folder, number) for number in range(processes)]
    served: list[Served] = []
    stopping = ""
    try:
        while slots:
            select.select([slot.engine for slot in slots], [], [], POLL_S)
            for slot in slots:
                for message in slot.engine.messages(0):
                    if text := slot.take(message):
                        say(f"{slot.identity}: {text}")
            if not stopping and (stopping := stop()):
                for slot in slots:
                    slot.engine.stop()
            for number, slot in enumerate(list(slots)):
                if not slot.ended:
                    continue
                slot.close()
                slots.remove(slot)
                if slot.failed:
                    raise RunError(slot.failed)
                if slot.served is not None:
                    served.append(slot.served)
                if not stopping and not (once and slot.served is not None):
                    slots.insert(number, WorkerProcess(host, port, token, folder, number))
    finally:
        for slot in slots:
            slot.close()
        shutil.rmtree(folder, ignore_errors=True)
    return served


def work_once(cluster: Cluster, processes: int, session: Session) -> dict[str, Any]:
    """LD_start_test with runner_mode worker: one run of the master, of which it has the records."""
    observers = tuple(session.observers)

    def stop() -> str:
        return next((reason for observer in observers if (reason := observer.stop_requested())), "")

    served = serve_master(cluster.host, cluster.port, cluster.token, processes=processes, once=True, say=LOG.info, stop=stop)
    if reason := stop():
        raise Interrupted(f"the worker was stopped: {reason}")
    problems = [one.problem for one in served if one.problem]
    if problems:
        raise RunError("; ".join(problems))
    return {
        "runner_mode": "worker",
        "master": f"{cluster.host}:{cluster.port}",
        "run": served[0].run,
        "hits": sum(one.hits for one in served),
    }


def _tail(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return "(no log)"
    return lines[-1][:300] if lines else "(nothing)"
