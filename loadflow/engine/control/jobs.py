"""All scripts that a server runs or has run, with limits on running scripts and kept results."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from loadflow.engine.base.counted import counted
from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.base.redact import Redactor
from loadflow.engine.control.envelope import ErrorKind, Refused
from loadflow.engine.control.job import Job, JobState
from loadflow.engine.control.limits import Limits
from loadflow.engine.control.snapshots import snapshot_json
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.session.session import Session
from loadflow.errors import ScriptError

__all__ = ["Jobs"]


class Jobs:
    """`new_session` makes the session of one script, given its label; `secrets` are masked in everything that is told."""

    def __init__(self, new_session: Callable[[str], Session], limits: Limits, secrets: list[str]) -> None:
        self._new_session = new_session
        self._limits = limits
        self._secrets = secrets
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    def start(
        self,
        document: object,
        text: str,
        label: str,
        *,
        keep_values: bool = False,
        tell: Callable[[Run, Snapshot], JsonObject] = snapshot_json,
        on_checked: Callable[[Job, ScriptError | None], None],
        on_change: Callable[[Job], None],
    ) -> Job:
        """Check and run a script on a thread of its own; raises Refused when too many run already."""

        def checked(job: Job, error: ScriptError | None) -> None:
            if error is not None:  # it never ran, so no client will ask for it
                with self._lock:
                    self._jobs.pop(job.id, None)
            on_checked(job, error)

        job = Job(
            self._new_session(label),
            document,
            text,
            Redactor(values=self._secrets),
            limits=self._limits,
            keep_values=keep_values,
            tell=tell,
            on_checked=checked,
            on_change=on_change,
        )
        with self._lock:
            running = sum(one.state is not JobState.ENDED for one in self._jobs.values())
            if running >= self._limits.runs_at_once:
                raise Refused(
                    ErrorKind.BUSY, f"this server runs at most {counted(self._limits.runs_at_once, 'script')} at once; try again later"
                )
            self._forget()
            self._jobs[job.id] = job
        job.thread.start()
        return job

    def _forget(self) -> None:
        """Drop the oldest results that are too many, or too large together; the newest stays whatever its size."""
        kept, size = 0, 0
        for job in reversed([one for one in self._jobs.values() if one.state is JobState.ENDED]):
            kept, size = kept + 1, size + job.result_bytes
            if kept >= self._limits.kept_results or (kept > 1 and size > self._limits.kept_result_bytes):
                del self._jobs[job.id]

    def get(self, run: str) -> Job:
        with self._lock:
            job = self._jobs.get(run)
        if job is None:
            raise Refused(ErrorKind.NOT_FOUND, f"there is no run {run[:40]!r}; `list` names those there are")
        return job

    def all(self) -> list[Job]:
        """In the order in which they were started."""
        with self._lock:
            return list(self._jobs.values())

    def running(self) -> list[Job]:
        return [job for job in self.all() if job.state is not JobState.ENDED]

    def stop_all(self, reason: str) -> None:
        for job in self.running():
            job.stop(reason)

    def wait(self, timeout_s: float) -> bool:
        """Whether all threads were over within `timeout_s`."""
        until = time.monotonic() + timeout_s
        for job in self.all():
            if job.thread.is_alive() and job.thread is not threading.current_thread():
                job.thread.join(max(0.0, until - time.monotonic()))
        return not any(job.thread.is_alive() for job in self.all())
