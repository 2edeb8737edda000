"""Which session the engines of a load are in: Linux shares a core among sessions first (autogroup), and then within each."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from loadflow.engine.load.start import start_test
from loadflow.engine.plan.cluster import Workers
from loadflow.engine.process.launch import MODULES
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.session.observer import Observer
from loadflow.engine.session.session import Session, use_session
from tests.load.harness import get, on
from tests.targets.fixture import Target


def command_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # it has just ended
        return []


class Engines(Observer):
    """The sessions and process groups of the native engines below this process, at the first snapshot with all of them."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.sessions: set[int] = set()
        self.leads_group: list[bool] = []

    def snapshot(self, run: Run, snapshot: Snapshot) -> None:
        found = [one for one in psutil.Process().children(recursive=True) if command_of(one)[-1:] == [MODULES["native"]]]
        if len(found) == self._count and not self.sessions:
            self.sessions = {os.getsid(one.pid) for one in found}
            self.leads_group = [os.getpgid(one.pid) == one.pid for one in found]


@pytest.mark.real_engines  # a process that begins warm has its session from elsewhere
@pytest.mark.parametrize(
    ("workers", "more", "is_ours"),
    [(None, {"processes": 2}, False), (Workers(2), {}, True)],
    ids=["two processes: a session of their own", "two agents: that of who makes the load"],
)
def test_the_engines_of_a_load_share_a_session(
    workers: Workers | None, more: dict[str, int], is_ours: bool, target: Target, tmp_path: Path
) -> None:
    target.reset()
    seen = Engines(2)
    with use_session(Session(runs_dir=tmp_path / "runs", workers=workers, observers=[seen])):
        start_test(
            on("native", "fast_http_user"),
            host=target.url,
            user_count=2,
            iterations=10,
            wait_time=0.5,
            tasks=[get("/ok")],
            worker_startup_timeout=200,
            **more,
        )
    assert len(seen.sessions) == 1
    assert (seen.sessions == {os.getsid(0)}) == is_ours
    assert seen.leads_group == [True, True]
