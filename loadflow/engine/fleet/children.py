"""Agents on this machine, one shard each, as children of the load's parent: they end with it, however it goes."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from loadflow.engine.base.private import opener
from loadflow.engine.fleet.access import Access
from loadflow.engine.process.launch import child_environment

__all__ = ["ChildAgents"]

END_S = 15.0


class ChildAgents:
    """Processes of `loadflow.engine.entry.agent`. They read how to get in from their standard input, which is also their lifeline."""

    def __init__(self, count: int, access: Access, folder: Path) -> None:
        self._count = count
        self._access = access
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    def __enter__(self) -> ChildAgents:
        way = {
            "url": self._access.url,
            "seed": self._access.seed,
            "credentials": self._access.credentials,
            "authority": self._access.authority.hex() if self._access.authority else None,
            "slots": 1,
        }
        for number in range(self._count):
            with open(self._folder / f"agent-{number}.log", "ab", opener=opener) as log:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "loadflow.engine.entry.agent"],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    process_group=0,  # the engines of all agents share a session: see `Supervisor.start_engine`
                    env=child_environment(),
                )
            self._processes.append(process)
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps(way).encode() + b"\n")
                process.stdin.flush()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        until = time.monotonic() + END_S
        for process in self._processes:
            try:
                process.wait(timeout=max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
