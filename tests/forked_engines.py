"""Loads of this process whose supervisor and engines are forks of a process that has imported them: see `tests.fork_server`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from loadflow.engine.process import launch
from tests.kinds import folder_of

ROOT = Path(__file__).resolve().parents[1]
# whose loads are made in the test's own process, and are not about how processes start and end
FORKED = {"load", "protocols", "exporters", "store", "recording", "script", "loaddensity", "scenario", "proving", "generator"}


class ForkServer:
    """One server process, which lives as long as the session."""

    def __init__(self, engine: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="loadflow-fork-")
        self._path = str(Path(self._folder.name) / "server")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self._path)
            listener.listen(64)
            environment = {**launch.child_environment()}
            environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment["PYTHONPATH"]])
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "tests.fork_server", engine, str(listener.fileno())],
                stdin=subprocess.PIPE,
                pass_fds=[listener.fileno()],
                env=environment,
                cwd=ROOT,
            )

    def start(self, log: IO[bytes]) -> Supervisor:
        asker = socket.socket(socket.AF_UNIX)
        asker.connect(self._path)
        stdin, to_stdin = os.pipe()
        from_stdout, stdout = os.pipe()
        environment = launch.child_environment()
        asked = {"cwd": str(Path.cwd()), "environ": environment}
        line = json.dumps(asked).encode() + b"\n"
        sent = socket.send_fds(asker, [line], [stdin, stdout, log.fileno()])
        asker.sendall(line[sent:])
        os.close(stdin)
        os.close(stdout)
        return Supervisor(asker, os.fdopen(to_stdin, "wb"), os.fdopen(from_stdout, "rb"))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._folder.cleanup()


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


SERVERS: dict[str, ForkServer] = {}


def server(engine: str) -> ForkServer:
    if engine not in SERVERS:
        SERVERS[engine] = ForkServer(engine)
    return SERVERS[engine]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish() -> None:
    while SERVERS:
        SERVERS.popitem()[1].close()


def start_forked(job: launch.Job, log: IO[bytes]) -> Any:
    modules = {engine["argv"][-1] for engine in job["engines"]}
    return server("native" if modules == {launch.MODULES["native"]} else "locust").start(log)


@contextlib.contextmanager
def forked() -> Iterator[None]:
    """Every load that this process makes has forked engines; with LOADFLOW_TEST_REAL_ENGINES=1 in the environment, none has."""
    with pytest.MonkeyPatch.context() as patch:
        if os.environ.get("LOADFLOW_TEST_REAL_ENGINES") != "1" and sys.platform == "linux":
            patch.setattr(launch, "start_supervisor", start_forked)
        yield


@pytest.fixture
def forked_engines() -> Iterator[None]:
    with forked():
        yield


@pytest.fixture(autouse=True)
def _forked(request: pytest.FixtureRequest) -> None:
    """Engines of the loads of some folders are forks of a process that has imported them once, unless a test says `real_engines`."""
    if folder_of(request.path) in FORKED and request.node.get_closest_marker("real_engines") is None:
        request.getfixturevalue("forked_engines")
