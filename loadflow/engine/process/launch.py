"""The parent's end of the engine: starts the supervisor, reads its messages, asks for the end."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Literal

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.base.private import opener
from loadflow.engine.plan.plan import Plan, Shard
from loadflow.engine.process.lineage import STARTER_VARIABLE, own_identity
from loadflow.engine.process.messages import Message, decode
from loadflow.engine.process.states import STOP_GRACE_S
from loadflow.engine.records.run import Run
from loadflow.errors import RunError

__all__ = [
    "Engine",
    "Job",
    "Processes",
    "agent_job",
    "child_environment",
    "describe_exit",
    "local_job",
    "loop_files",
    "start_of_load",
    "start_supervisor",
]

START_ALLOWANCE_S = 10.0  # on top of load and drain, before the supervisor calls an engine stuck
MODULES = {"native": "loadflow.engine.entry.native", "locust": "loadflow.engine.entry.locust"}
LEAD_NS = 30_000_000  # from the start signal to the load's start: by then every loop has its users, and the parent has finished its work
PIPE_BYTES = 2**20  # holds minutes of messages while the parent is busy; the engine never waits for it


Job = JsonObject  # what a supervisor is to do: see `loadflow.engine.entry.supervisor.Supervisor`


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes that make the load, each with `threads` event loops; on Locust each has one loop."""

    engine: Literal["native", "locust"] = "locust"
    processes: int = 1
    threads: int = 1

    @property
    def shards(self) -> int:
        return self.processes * self.threads


def local_job(run: Run, plan: Plan, parts: Processes) -> Job:
    """Engine processes on this machine, each with a share of the plan."""
    deadline_s = None if plan.duration_s is None else plan.duration_s + plan.drain_s + START_ALLOWANCE_S
    jobs: list[Job] = [
        {
            "role": "load",
            "plan": plan.for_shard(Shard(index, parts.shards)).to_json(),
            "paths": _paths(),
            "shard": index,
            "shards": parts.shards,
            **_shard_files(run, index),
        }
        for index in range(parts.shards)
    ]
    engines = []
    for process in range(parts.processes):
        own = jobs[process * parts.threads : (process + 1) * parts.threads]
        engines.append(_engine(MODULES[parts.engine], run.log_path(process), {"jobs": own} if parts.engine == "native" else own[0]))
    return _job(run.folder, engines, planned_s=plan.duration_s, grace_s=STOP_GRACE_S, deadline_s=deadline_s)


def agent_job(folder: Path, module: str, loops: list[Job], *, number: int, deadline_s: float | None, silent_s: float) -> Job:
    """One engine process of a load that another machine coordinates, with files in `folder`; `loops` have their plan, shard and shards."""
    jobs: list[Job] = [
        {**loop, "role": "load", "paths": _paths(), **{name: str(path) for name, path in loop_files(folder, place).items()}}
        for place, loop in enumerate(loops)
    ]
    engine = _engine(module, folder / f"engine-{number}.log", {"jobs": jobs} if module == MODULES["native"] else jobs[0])
    return {**_job(folder, [engine], planned_s=None, grace_s=STOP_GRACE_S, deadline_s=deadline_s), "silent_s": silent_s}


def loop_files(folder: Path, place: int) -> dict[str, Path]:
    """What the loop at this place of an engine process writes, in a folder of the process's own."""
    return {
        "hits": folder / f"hits-{place}.bin",
        "names": folder / f"names-{place}.ndjson",
        "samples": folder / f"samples-{place}.ndjson",
        "spans": folder / f"spans-{place}.ndjson",
    }


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


def start_of_load() -> tuple[int, int]:
    """In a moment: on the monotonic clock and in Unix time, nanoseconds."""
    return time.monotonic_ns() + LEAD_NS, time.time_ns() + LEAD_NS


def start_supervisor(
    job: Job, log: IO[bytes], env: Mapping[str, str] | None = None, *, own_session: bool = True
) -> subprocess.Popen[bytes]:
    """The process of `loadflow.engine.entry.supervisor`, which reads the job from its standard input; `log` gets its stderr, and `env` are
    environment variables besides this process's. `own_session`: it and its engines are in a session of their own, else in a process
    group of this session."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "loadflow.engine.entry.supervisor"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        start_new_session=own_session,
        process_group=None if own_session else 0,
        env={**child_environment(), **(env or {})},
    )


class Engine:
    """A supervisor with the engine processes of a job. As a context manager it never leaves one behind.

    Nothing inherits the parent's standard streams: an orchestrator that waits for its child's pipes would wait for ours.
    """

    def __init__(self, job: Job, env: Mapping[str, str] | None = None, *, own_session: bool = True) -> None:
        folder = Path(job["folder"])
        self._grace_s = float(job["grace_s"])
        with open(folder / "supervisor.log", "ab", opener=opener) as log:
            self._process = start_supervisor(job, log, env, own_session=own_session)
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

    def go(self, origin: tuple[int, int] | None = None) -> tuple[int, int]:
        """Start the load in a moment, or at `origin`; returns its start on the monotonic clock and in Unix time, both in nanoseconds."""
        monotonic_ns, unix_ns = origin or start_of_load()
        self._tell(f"go {monotonic_ns} {unix_ns}")
        return monotonic_ns, unix_ns

    def stop(self, grace_s: float | None = None) -> None:
        """Ask for an early end: TERM now, KILL after the grace. More than once does no harm."""
        self._tell(f"stop {grace_s}" if grace_s is not None else "stop")

    def faster(self, factor: float, at_s: int) -> None:
        """From second `at_s` on, which is a second and more ahead, the pace has `factor` times its rate: `Pace.faster`, in each engine."""
        self._tell(f"faster {factor!r} {at_s}")

    def over(self) -> None:
        """End the load as its planned time would: hits in flight have all of the drain. More than once does no harm."""
        self._tell("over")

    def beat(self) -> None:
        """Say that the load may go on. From the first beat on, a supervisor whose job has `silent_s` ends the load without it."""
        self._tell("beat")

    def fileno(self) -> int:
        """Readable when there is a message."""
        return self._stdout.fileno()

    def messages(self, wait_s: float) -> Iterator[Message]:
        """The messages that came within `wait_s`. Raises RunError at the end of the pipe: the supervisor has ended."""
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
        """Read to the end of the pipe, so that no process waits for this one; past `until`, kill the supervisor, and the engines with
        it.
        """
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

    And who started it, by which `ProcessSupervisor` finds engines whose parent is gone.
    """
    root = str(Path(__file__).parents[3])
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
