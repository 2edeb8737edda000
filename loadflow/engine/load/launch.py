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
from loadflow.engine.plan.plan import Plan, Shard
from loadflow.engine.records.run import Run
from loadflow.engine.reliability.lineage import STARTER_VARIABLE, own_identity
from loadflow.errors import RunError

__all__ = ["STOP_GRACE_S", "Crew", "Engine", "child_environment", "describe_exit"]

STOP_GRACE_S = 3.0  # from a stop on request, or the parent's death, to KILL: nothing may still send 5 s after it
START_ALLOWANCE_S = 10.0  # on top of load and drain, before the supervisor calls an engine stuck
MODULES = {"native": "loadflow.engine.load.native_worker", "locust": "loadflow.engine.load.worker"}
PIPE_BYTES = 2**20  # holds minutes of messages while the parent is busy; the engine never waits for it


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


def engines_of(run: Run, plan: Plan, crew: Crew) -> list[dict[str, Any]]:
    """What the supervisor is to start, and what it is to tell each."""
    jobs = [
        {
            "plan": plan.for_shard(Shard(index, crew.shards)).to_json(),
            "paths": [path for path in sys.path if path],
            "shard": index,
            "shards": crew.shards,
            "hits": str(run.hits_path(index).resolve()),
            "names": str(run.names_path(index).resolve()),
            "samples": str(run.samples_path(index).resolve()),
        }
        for index in range(crew.shards)
    ]
    engines = []
    for process in range(crew.processes):
        own = jobs[process * crew.threads : (process + 1) * crew.threads]
        engines.append(
            {
                "argv": [sys.executable, "-P", "-m", MODULES[crew.engine]],
                "log": str(run.log_path(process).resolve()),
                "job": {"jobs": own} if crew.engine == "native" else own[0],
            }
        )
    return engines


class Engine:
    """A supervisor with its engine processes. As a context manager it never leaves one behind.

    Nothing inherits the parent's standard streams: an orchestrator that waits for its child's pipes would wait for ours.
    """

    def __init__(self, run: Run, plan: Plan, crew: Crew) -> None:
        deadline_s = None if plan.duration_s is None else plan.duration_s + plan.drain_s + START_ALLOWANCE_S
        job = {
            "folder": str(run.folder.resolve()),
            "planned_s": plan.duration_s,
            "grace_s": STOP_GRACE_S,
            "deadline_s": deadline_s,
            "engines": engines_of(run, plan, crew),
        }
        with (run.folder / "supervisor.log").open("ab") as log:
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
        self._log = run.folder / "supervisor.log"
        self._tell(json.dumps(job))

    @property
    def pid(self) -> int:
        """Of the supervisor."""
        return self._process.pid

    def go(self) -> int:
        """Start the load now; returns the start on the monotonic clock, in nanoseconds."""
        monotonic_ns = time.monotonic_ns()
        self._tell(f"go {monotonic_ns} {time.time_ns()}")
        return monotonic_ns

    def stop(self, grace_s: float | None = None) -> None:
        """Ask for an early end: TERM now, KILL after the grace. More than once does no harm."""
        self._tell(f"stop {grace_s}" if grace_s is not None else "stop")

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
            self._drain(time.monotonic() + STOP_GRACE_S + 2)
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
