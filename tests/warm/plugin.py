"""The warm process of a pytest process: started with the first test that may start others, ended with the session."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import warnings
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.warm.client import EXECUTE, Starter, install
from tests.warm.process import CLONE
from tests.warm.server import READY

ROOT = Path(__file__).resolve().parents[2]
ON = sys.platform == "linux" and os.uname().machine in CLONE
MAY = ON and os.environ.get("LOADFLOW_TEST_REAL_ENGINES") != "1" and "LOADFLOW_TEST_QUICK" not in os.environ


class Warm:
    def __init__(self) -> None:
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
        self.is_warm = ours.recv(8) == READY.to_bytes(8, "big")
        if not self.is_warm:
            warnings.warn("no process begins warm here, so that all take two seconds longer to start: see tests/warm", stacklevel=1)
        self.starter = Starter(ours)
        install(self.starter)

    def close(self) -> None:
        subprocess.Popen._execute_child = EXECUTE  # type: ignore[attr-defined]
        self.starter.close()
        self._process.wait()


WARM: list[Warm] = []


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
