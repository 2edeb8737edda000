"""A coordinator in this process and agents in processes of their own, on loopback; the recording target says what was really sent."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from loadflow.engine.fleet.access import Access, given_access
from loadflow.engine.fleet.broker import find_server
from loadflow.engine.generator.native.fit import is_built
from loadflow.engine.process.launch import MODULES
from tests.fork_client import forked_for
from tests.load.harness import Outcomes, load
from tests.services import free_port
from tests.waiting import wait_for

TOKEN = "a token of the tests"
LIMIT_S = 120.0
ENGINES = set(MODULES.values())
ENGINE = "native" if is_built() else "fast_http_user"  # where a test says nothing: its agents start in a quarter of the time


class AgentCommand:
    """`loadflow agent` as a person starts it; `lines` are what it said so far. `within`: a command that starts it."""

    def __init__(self, folder: Path, url: str, *options: str, token: str | None = TOKEN, within: Sequence[str] = (), **env: str) -> None:
        known = {**os.environ, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1", **env}
        if token is None:
            known.pop("LOADFLOW_WORKER_TOKEN", None)
        else:
            known["LOADFLOW_WORKER_TOKEN"] = token
        self.process = subprocess.Popen(
            [*within, sys.executable, "-m", "loadflow", "agent", "--nats-url", url, *options],
            cwd=folder,
            env=known,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def has_said(self, words: str) -> bool:
        return any(words in line for line in list(self.lines))

    def says(self, words: str) -> None:
        wait_for(f"{words!r}, said by an agent", lambda: self.has_said(words), LIMIT_S)

    def wait(self) -> int:
        try:
            code = self.process.wait(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            raise AssertionError("an agent does not end; it said:\n" + "\n".join(self.lines)) from None
        self._reader.join(timeout=LIMIT_S)
        return code

    @property
    def engine(self) -> psutil.Process:
        """The process that makes the load: below the command and its supervisor."""
        return wait_for("an agent's engine", self._engine, LIMIT_S)

    def _engine(self) -> psutil.Process | None:
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in below(self.process.pid):
                if process.ppid() != self.process.pid and any(word in ENGINES for word in process.cmdline()):
                    return process
        return None

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join(timeout=10)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))


def below(pid: int) -> set[psutil.Process]:
    """What a process started, and what was forked for it."""
    return {*psutil.Process(pid).children(recursive=True), *forked_for(pid)}


@contextlib.contextmanager
def agents(folder: Path, port: int, count: int, *options: str, **more: Any) -> Iterator[list[AgentCommand]]:
    """So many agents of one slot, each for one run, ended with the block."""
    given = options or ("--slots", "1", "--once")
    started = [AgentCommand(folder, f"nats://127.0.0.1:{port}", *given, **more) for _ in range(count)]
    try:
        yield started
    finally:
        for one in started:
            one.stop()


@contextlib.contextmanager
def given_server(folder: Path, *, most_bytes: int) -> Iterator[Access]:
    """A NATS server that others run."""
    port = free_port()
    config = folder / "given.conf"
    config.write_text(f'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: "{folder / "js"}", max_file_store: {most_bytes} }}\n')
    with (folder / "given.log").open("wb") as log:
        process = subprocess.Popen([find_server(), "-c", config], stdout=log, stderr=log)
    try:
        wait_for("the server", lambda: "Server is ready" in (folder / "given.log").read_text(), 60)
        yield given_access(f"nats://127.0.0.1:{port}", None, "a test")
    finally:
        process.kill()
        process.wait()


def master(folder: Path, port: int, expected: int, steps: Any, **arguments: Any) -> Outcomes:
    """A load of this process, with a NATS server of its own on this port, made by `expected` agents."""
    rules = {"user": ENGINE, "worker_startup_timeout": 200, "worker_heartbeat_interval": 1, "worker_lost_timeout": 6, **arguments}
    return load(
        folder, steps, runner_mode="master", master_bind_host="127.0.0.1", master_bind_port=port, expected_workers=expected, **rules
    )


def elsewhere(folder: Path, url: str, expected: int, steps: Any, **arguments: Any) -> Outcomes:
    """A load of this process, made by `expected` agents that wait at a NATS server of others."""
    workers = {"count": expected, "nats_url": url}
    return load(folder, steps, workers=workers, **{"user": ENGINE, "worker_startup_timeout": 200, **arguments})


class InBackground:
    """A load in a thread, for tests that do something in the middle: `by` with the other arguments."""

    def __init__(self, *arguments: Any, by: Callable[..., Outcomes] = master, **more: Any) -> None:
        self._done: Outcomes | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(by, arguments, more))
        self._thread.start()

    def _run(self, by: Callable[..., Outcomes], arguments: tuple[Any, ...], more: dict[str, Any]) -> None:
        try:
            self._done = by(*arguments, **more)
        except BaseException as error:
            self._error = error
            raise

    @property
    def done(self) -> Outcomes:
        self._thread.join(timeout=300)
        if self._error is not None:
            raise AssertionError("the load failed") from self._error
        assert self._done is not None
        return self._done
