"""The parent's end of the engine: starts the supervisor, reads its messages, asks for the end."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from loadflow.engine.load.messages import Message, decode
from loadflow.engine.plan.cluster import Cluster
from loadflow.engine.plan.plan import Plan, Shard
from loadflow.engine.records.run import Run
from loadflow.engine.reliability.lineage import STARTER_VARIABLE, own_identity
from loadflow.errors import RunError

__all__ = [
    "DELIVERY_GRACE_S",
    "STOP_GRACE_S",
    "Crew",
    "Engine",
    "Job",
    "child_environment",
    "describe_exit",
    "local_job",
    "master_job",
    "worker_job",
]

STOP_GRACE_S = 3.0  # from a stop on request, or the parent's death, to KILL: nothing may still send 5 s after it
DELIVERY_GRACE_S = 10.0  # the same for a master and a worker: nothing is sent any more, but hits are still on their way
START_ALLOWANCE_S = 10.0  # on top of load and drain, before the supervisor calls an engine stuck
MODULES = {"native": "loadflow.engine.load.native_worker", "locust": "loadflow.engine.load.worker"}
LEAD_NS = 30_000_000  # from the word to go to the load's start: until then every loop has its users, and the parent is done
PIPE_BYTES = 2**20  # holds minutes of messages while the parent is busy; the engine never waits for it


Job = dict[str, Any]  # what a supervisor is to do: see `loadflow.engine.load.supervisor.Supervisor`


@dataclass(frozen=True, slots=True)
class Crew:
    """Who makes the load: `processes` processes, each with so many loops of its own; Locust has one in each."""

    engine: Literal["native", "locust"] = "locust"
    processes: int = 1
    threads: int = 1

    @property
    def shards(self) -> int:
        return self.processes * self.threads

    def process_of(self, shard: int) -> int:
        return shard // self.threads


def local_job(run: Run, plan: Plan, crew: Crew) -> Job:
    """Engine processes on this machine, each with a share of the plan."""
    deadline_s = None if plan.duration_s is None else plan.duration_s + plan.drain_s + START_ALLOWANCE_S
    jobs: list[Job] = [
        {
            "role": "load",
            "plan": plan.for_shard(Shard(index, crew.shards)).to_json(),
            "paths": _paths(),
            "shard": index,
            "shards": crew.shards,
            **_shard_files(run, index),
        }
        for index in range(crew.shards)
    ]
    engines = []
    for process in range(crew.processes):
        own = jobs[process * crew.threads : (process + 1) * crew.threads]
        engines.append(_engine(MODULES[crew.engine], run.log_path(process), {"jobs": own} if crew.engine == "native" else own[0]))
    return _job(run.folder, engines, planned_s=plan.duration_s, grace_s=STOP_GRACE_S, deadline_s=deadline_s)


def master_job(run: Run, plan: Plan, cluster: Cluster) -> Job:
    """One engine process on this machine, which stands for as many shards as there are workers."""
    job: Job = {
        "role": "master",
        "plan": plan.to_json(),
        "paths": _paths(),
        "shard": 0,
        "run": run.facts.id,
        "host": cluster.host,
        "port": cluster.port,
        "token": cluster.token,
        "rules": cluster.rules(),
        "files": [_shard_files(run, shard) for shard in range(cluster.expected)],
        "workers": str(run.workers_path.resolve()),
    }
    # workers end their load in time by themselves, and are given all the time that their last hits need on the way
    engine = _engine(MODULES["locust"], run.log_path(0), job)
    return _job(run.folder, [engine], planned_s=plan.duration_s, grace_s=DELIVERY_GRACE_S, deadline_s=None)


def worker_job(folder: Path, log: Path, job: Job) -> Job:
    """One worker of a master; `job` says which."""
    engine = _engine(MODULES["locust"], log, {"role": "worker", "paths": _paths(), **job})
    return _job(folder, [engine], planned_s=None, grace_s=DELIVERY_GRACE_S, deadline_s=None)


def _paths() -> list[str]:
    """User types of one's own are found where the parent found them."""
    return [path for path in sys.path if path]


def _shard_files(run: Run, shard: int) -> dict[str, str]:
    paths = {
        "hits": run.hits_path(shard),
        "names": run.names_path(shard),
        "samples": run.samples_path(shard),
        "spans": run.spans_path(shard),
    }
    return {name: str(path.resolve()) for name, path in paths.items()}


def _engine(module: str, log: Path, job: Job) -> Job:
    return {"argv": [sys.executable, "-P", "-m", module], "log": str(log.resolve()), "job": job}


def _job(folder: Path, engines: list[Job], *, planned_s: float | None, grace_s: float, deadline_s: float | None) -> Job:
    return {
        "folder": str(folder.resolve()),
        "planned_s": planned_s,
        "grace_s": grace_s,
        "deadline_s": deadline_s,
        "engines": engines,
    }


class Engine:
    """A supervisor with the engine processes of a job. As a context manager it never leaves one behind.

    Nothing inherits the parent's standard streams: an orchestrator that waits for its child's pipes would wait for ours.
    """

    def __init__(self, job: Job) -> None:
        folder = Path(job["folder"])
        self._grace_s = float(job["grace_s"])
        with (folder / "supervisor.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "loadflow.engine.load.supervisor"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env=child_environment(),
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        _widen(self._stdout.fileno())
        self._pending = b""
        self._log = folder / "supervisor.log"
        self._tell(json.dumps(job))

    @property
    def pid(self) -> int:
        """Of the supervisor."""
        return self._process.pid

    def go(self) -> tuple[int, int]:
        """Start the load in a moment; returns its start on the monotonic clock and in Unix time, both in nanoseconds."""
        monotonic_ns, unix_ns = time.monotonic_ns() + LEAD_NS, time.time_ns() + LEAD_NS
        self._tell(f"go {monotonic_ns} {unix_ns}")
        return monotonic_ns, unix_ns

    def stop(self, grace_s: float | None = None) -> None:
        """Ask for an early end: TERM now, KILL after the grace. More than once does no harm."""
        self._tell(f"stop {grace_s}" if grace_s is not None else "stop")

    def fileno(self) -> int:
        """Readable when there is a message."""
        return self._stdout.fileno()

    def messages(self, wait_s: float) -> Iterator[Message]:
        """What came within `wait_s`. Raises RunError at the end of the pipe: nobody is there any more."""
        ready, _, _ = select.select([self._stdout], [], [], wait_s)
        if not ready:
            return
        data = os.read(self._stdout.fileno(), PIPE_BYTES)
        if not data:
            raise RunError(f"the supervisor of the engine is gone (exit code {self._process.wait()}); see {self._log}")
        *whole, self._pending = (self._pending + data).split(b"\n")
        for line in whole:
            message = decode(line.decode(errors="replace"))
            if message is not None:
                yield message

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Cut the lifeline and wait until the supervisor has ended every engine."""
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()
        try:
            self._drain(time.monotonic() + self._grace_s + 2)
        finally:
            self._stdout.close()

    def _drain(self, until: float) -> None:
        """Read to the end of the pipe, so that nobody waits for us; past `until`, kill the supervisor, and the engines with it."""
        while (left := until - time.monotonic()) > 0:
            ready, _, _ = select.select([self._stdout], [], [], left)
            if ready and not os.read(self._stdout.fileno(), PIPE_BYTES):
                break
        else:
            self._process.kill()
        self._process.wait()

    def _tell(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # a dead supervisor is noticed by messages()
            self._stdin.write(line.encode() + b"\n")
            self._stdin.flush()


def child_environment() -> dict[str, str]:
    """The parent's, with the place this package was imported from first on the path: `-P` leaves the folder out.

    And who started it, by which `ProcessSupervisor` finds engines that nobody owns any more.
    """
    import loadflow

    root = str(Path(loadflow.__file__).parent.parent)
    path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH")) if part)
    return {**os.environ, "PYTHONPATH": path, STARTER_VARIABLE: own_identity()}


def _widen(fd: int) -> None:
    if sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):  # an unprivileged user's share may be used up; the default still works
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def describe_exit(code: int) -> str:
    """`killed by SIGKILL` or `exit code 3`."""
    import signal

    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
