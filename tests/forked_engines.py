"""Loads of this process whose supervisor and engines are forks of a process that has imported them: see `tests.fork_server`."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import pytest

from loadflow.engine.process import launch
from tests.fork_client import VARIABLE, supervisor_at
from tests.kinds import folder_of

ROOT = Path(__file__).resolve().parents[1]
# whose loads are made in the test's own process, and are not about how processes start and end
FORKED = {"load", "protocols", "exporters", "store", "recording", "script", "loaddensity", "scenario", "proving", "generator"}
MAY_FORK = os.environ.get("LOADFLOW_TEST_REAL_ENGINES") != "1" and sys.platform == "linux"


class ForkServer:
    """One server process, which lives as long as the session."""

    def __init__(self, engine: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="loadflow-fork-")
        self.path = str(Path(self._folder.name) / "server")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.path)
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

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._folder.cleanup()


SERVERS: dict[str, ForkServer] = {}


def server(engine: str) -> ForkServer:
    if engine not in SERVERS:
        SERVERS[engine] = ForkServer(engine)
    return SERVERS[engine]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish() -> None:
    while SERVERS:
        SERVERS.popitem()[1].close()


def start_forked(job: launch.Job, log: IO[bytes], env: Mapping[str, str] | None = None, *, own_session: bool = True) -> Any:
    modules = {engine["argv"][-1] for engine in job["engines"]}
    return supervisor_at(server("native" if modules == {launch.MODULES["native"]} else "locust").path, log, env)


@contextlib.contextmanager
def forked() -> Iterator[None]:
    """Every load that this process makes has forked engines; with LOADFLOW_TEST_REAL_ENGINES=1 in the environment, none has."""
    with pytest.MonkeyPatch.context() as patch:
        if MAY_FORK:
            patch.setattr(launch, "start_supervisor", start_forked)
        yield


@pytest.fixture
def forked_engines() -> Iterator[None]:
    with forked():
        yield


def below_forked() -> dict[str, str]:
    """The environment of a process whose loads are to have forked engines."""
    return {VARIABLE: server("locust").path} if MAY_FORK else {}


@pytest.fixture
def forked_below(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that the test starts have the engines of their Locust loads forked: for tests with `loadflow agent` and its like."""
    if request.node.get_closest_marker("real_engines") is None:
        for name, value in below_forked().items():
            monkeypatch.setenv(name, value)


@pytest.fixture(autouse=True)
def _forked(request: pytest.FixtureRequest) -> None:
    """Engines of the loads of some folders are forks of a process that has imported them once, unless a test says `real_engines`."""
    if folder_of(request.path) in FORKED and request.node.get_closest_marker("real_engines") is None:
        request.getfixturevalue("forked_engines")
