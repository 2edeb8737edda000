"""Whoever asks a process of `tests.fork_server` for supervisors: tests, and processes that they start.

A process that began warm (`tests.warm`) and has `VARIABLE` in its environment has its Locust loads made so: there a real engine takes two
seconds of CPU to import what it needs. Its supervisors are then below the fork server; `forked_for` finds them.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import psutil

from loadflow.engine.process import launch
from loadflow.engine.process.lineage import STARTER_VARIABLE

__all__ = ["VARIABLE", "Supervisor", "forked_for", "supervisor_at", "use_forks"]

VARIABLE = "LOADFLOW_TEST_LOCUST_FORKS"  # where the server listens


class Supervisor:
    """A supervisor process, as far as `launch.Engine` needs a Popen."""

    def __init__(self, asker: socket.socket, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self.stdin, self.stdout = stdin, stdout
        self._asker = asker
        self._answers = asker.makefile("r", encoding="ascii")
        self.pid = int(self._answers.readline().removeprefix("pid "))
        self._code: int | None = None

    def wait(self) -> int:
        if self._code is None:
            answer = self._answers.readline().split()
            self._code = int(answer[1]) if answer else -signal.SIGKILL
            self._answers.close()
            self._asker.close()
        return self._code

    def kill(self) -> None:
        if self._code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def supervisor_at(path: str, log: IO[bytes], env: Mapping[str, str] | None = None) -> Supervisor:
    """By the server that listens at `path`; `env` as of `launch.start_supervisor`."""
    asker = socket.socket(socket.AF_UNIX)
    asker.connect(path)
    stdin, to_stdin = os.pipe()
    from_stdout, stdout = os.pipe()
    environment = {**launch.child_environment(), **(env or {})}
    line = json.dumps({"cwd": str(Path.cwd()), "environ": environment}).encode() + b"\n"
    sent = socket.send_fds(asker, [line], [stdin, stdout, log.fileno()])
    asker.sendall(line[sent:])
    os.close(stdin)
    os.close(stdout)
    return Supervisor(asker, os.fdopen(to_stdin, "wb"), os.fdopen(from_stdout, "rb"))


def use_forks(path: str) -> None:
    """From now on, for loads on Locust that this process makes."""
    start = launch.start_supervisor

    def start_supervisor(
        job: launch.Job, log: IO[bytes], env: Mapping[str, str] | None = None, *, own_session: bool = True
    ) -> subprocess.Popen[bytes]:
        if {engine["argv"][-1] for engine in job["engines"]} != {launch.MODULES["locust"]}:
            return start(job, log, env, own_session=own_session)
        found: Any = supervisor_at(path, log, env)
        return found

    launch.start_supervisor = start_supervisor  # for good: the process is this test's


def forked_for(pid: int) -> Iterator[psutil.Process]:
    """Supervisors and engines that were forked for a process, and are there; what the fork server shows of them says who asked."""
    mark = f"{STARTER_VARIABLE}={pid}:".encode()
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            entries = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
            if any(entry.startswith(mark) for entry in entries) and process.status() != psutil.STATUS_ZOMBIE:
                yield process
