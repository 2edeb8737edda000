"""Real engines that could not keep time, or had nothing left to send with: the run is inconclusive, and says why."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from loadflow.engine.load.start import start_test
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.session.observer import Observer
from loadflow.engine.session.session import Session, use_session
from tests.load.harness import get
from tests.services import need
from tests.targets.fixture import Target
from tests.waiting import HANG_S

pytestmark = pytest.mark.real_engines  # they are looked for among the children of this process, and given its limits

ENGINES = ("native", "locust")
STOPPED_S = 2.5


class _Stops(Observer):
    """Stops the engine after its first second, for a time in which it can say nothing."""

    def __init__(self) -> None:
        self._done = False

    def snapshot(self, run: Run, snapshot: Snapshot) -> None:
        if self._done:
            return
        self._done = True
        engines = [
            one
            for one in psutil.Process().children(recursive=True)
            if any(word.endswith(("entry.locust", "entry.native")) for word in one.cmdline())
        ]
        assert engines
        for engine in engines:
            engine.send_signal(signal.SIGSTOP)
            threading.Timer(STOPPED_S, engine.send_signal, (signal.SIGCONT,)).start()


@pytest.mark.parametrize("engine", ["native", pytest.param("locust", marks=pytest.mark.long)])
def test_a_stopped_engine_is_never_passed(engine: str, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADFLOW_LAG_LIMIT_MS", "150")  # a gap is then 1.5 s
    with use_session(Session(runs_dir=tmp_path, observers=[_Stops()])):
        summary = start_test({"user": "fast_http_user", "engine": engine}, 2, host=target.url, tasks=[get("/delay/20")], test_time=5)
    assert summary["verdict"]["verdict"] == "inconclusive"
    assert "it stood still for" in summary["verdict"]["reasons"][0]
    assert summary["generator"]["lag_peak_ms"] > 1_500


def short_of(what: str, number: int, engine: str, folder: Path, *before: str) -> dict[str, Any]:
    command = [*before, sys.executable, "-P", "-m", "tests.generator.short_of", what, str(number), engine, str(folder)]
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=False, cwd=root, env=environment)
    assert done.returncode == 0, done.stderr[-3_000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("engine", ENGINES)
def test_without_file_descriptors_it_is_inconclusive_with_the_way_out(engine: str, tmp_path: Path) -> None:
    summary = short_of("files", 64, engine, tmp_path)
    assert summary["verdict"]["verdict"] == "inconclusive"
    assert "no file descriptor was left for" in summary["verdict"]["reasons"][0]
    assert "ulimit -n" in summary["verdict"]["reasons"][0]
    assert {error["kind"] for error in summary["errors"]} == {"connect"}


@pytest.mark.parametrize("engine", ENGINES)
def test_without_local_ports_it_is_inconclusive_with_the_way_out(engine: str, tmp_path: Path) -> None:
    tried = shutil.which("unshare") and shutil.which("ip") and subprocess.run(["unshare", "-n", "true"], check=False).returncode == 0
    need(tried, "a network namespace of one's own needs root")
    summary = short_of("ports", 40, engine, tmp_path, "unshare", "-n")
    assert summary["verdict"]["verdict"] == "inconclusive"
    assert "no local port was left for" in summary["verdict"]["reasons"][0]
    assert "ip_local_port_range" in summary["verdict"]["reasons"][0]
