"""The warm process of a pytest session, and of each worker of xdist, which begins as a fork of it.

Without workers it is started with the first test that may start others; it ends with the session.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import warnings
from collections.abc import Generator, Sequence
from pathlib import Path

import psutil
import pytest

from tests.warm.client import OwnForks, Starter, install, installed, uninstall
from tests.warm.process import CLONE
from tests.warm.server import READY

ROOT = Path(__file__).resolve().parents[2]
ON = sys.platform == "linux" and os.uname().machine in CLONE
MAY = ON and os.environ.get("LOADFLOW_TEST_REAL_ENGINES") != "1" and "LOADFLOW_TEST_QUICK" not in os.environ


class Warm:
    """`starter`: whom this process asks. Its own begins here, unless it is a worker that has one from its begin. `tests`: files and folders
    whose tests workers will collect. `cpu_s`: what it took until it was ready.
    """

    def __init__(self, tests: Sequence[str] = ()) -> None:
        self.starter: Starter | OwnForks
        self._process: subprocess.Popen[bytes] | None = None
        self.is_warm, self.cpu_s = True, 0.0
        if given := installed():
            self.starter = given
        else:
            self.starter = self._start(tests)

    def _start(self, tests: Sequence[str]) -> Starter:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "tests.warm", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                cwd=ROOT,
                start_new_session=True,
            )
        told = json.dumps({"tests": list(tests), "environ": dict(os.environ)}).encode()
        ours.sendall(len(told).to_bytes(8, "big") + told)
        self.is_warm = ours.recv(8) == READY.to_bytes(8, "big")
        if self.is_warm:
            self.cpu_s = sum(psutil.Process(self._process.pid).cpu_times()[:2])
        if not self.is_warm:
            warnings.warn("no process begins warm here, so that all take two seconds longer to start: see tests/warm", stacklevel=1)
        starter = Starter(ours)
        starter.is_on = self.is_warm
        install(starter)
        return starter

    def close(self) -> None:
        uninstall()
        if isinstance(self.starter, Starter):
            self.starter.close()
        if self._process is not None:
            self._process.wait()


WARM: list[Warm] = []


@pytest.hookimpl(trylast=True)  # when the environment is as all processes of the session have it
def pytest_configure(config: pytest.Config) -> None:
    """Before xdist starts its workers."""
    if MAY and config.getoption("numprocesses", None):
        rewritten = config.getoption("assertmode", "rewrite") == "rewrite"
        WARM.append(Warm([str(Path(one.partition("::")[0]).resolve()) for one in config.args] if rewritten else ()))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Fixtures of a module begin with its first test: they are made in the same way."""
    if MAY and item.get_closest_marker("processes") is not None and not WARM:
        WARM.append(Warm())
    for warm in WARM:
        warm.starter.is_on = warm.is_warm and item.get_closest_marker("real_engines") is None
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish() -> None:
    while WARM:
        WARM.pop().close()
