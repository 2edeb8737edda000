"""What `kill_orphans` ends, and what it spares: real processes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from loadflow import ProcessSupervisor
from loadflow.engine.forked import orphans
from loadflow.engine.process.lineage import STARTER_VARIABLE, identity_of, own_identity, pid_of
from tests.targets.fixture import Target
from tests.waiting import wait_for

pytestmark = pytest.mark.processes
ROOT = Path(__file__).resolve().parents[2]
FENCE = "LOADFLOW_TEST_FENCE"
LOADER = """
import json, sys
from loadflow import Session, start_test, use_session
with use_session(Session(runs_dir=sys.argv[1])):
    start_test(**json.loads(sys.argv[2]))
"""


class Loader:
    """A process of its own that runs a load of a minute; everything below it is ended with the test."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        test = {
            "user_detail_dict": {"user": "fast_http_user", "engine": "locust"},
            "user_count": 2,
            "test_time": 60,
            "wait_time": 0.05,
            "tasks": [{"method": "get", "request_url": f"{url}/ok"}],
        }
        python = [sys.executable, "-c", LOADER, str(folder), json.dumps(test)]
        self.process = subprocess.Popen(python, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})

    def below(self, word: str) -> psutil.Process:
        def look() -> psutil.Process | None:
            children = psutil.Process(self.process.pid).children(recursive=True)
            return next((one for one in children if any(word in part for part in one.cmdline())), None)

        return wait_for(word, look, 60)


@pytest.fixture(autouse=True)
def fence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep sees what this test started, and not the orphans of a test that runs at the same time."""
    monkeypatch.setenv(FENCE, str(tmp_path))
    every = psutil.process_iter

    def inside() -> Iterator[psutil.Process]:
        for process in every():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(FENCE) == str(tmp_path):
                    yield process

    monkeypatch.setattr(orphans.psutil, "process_iter", inside)


@pytest.fixture
def loader(tmp_path: Path, target: Target) -> Iterator[Loader]:
    target.reset()
    loader = Loader(tmp_path / "runs", target.url)
    supervisor, engine = loader.below("entry.supervisor"), loader.below("entry.locust")
    wait_for("load", lambda: target.counts().get("/ok", 0) > 5, 60)
    yield loader
    loader.process.kill()
    for process in (supervisor, engine):
        with contextlib.suppress(psutil.Error):
            process.kill()
    loader.process.wait()


def is_alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def test_a_load_whose_parent_lives_is_spared(loader: Loader) -> None:
    supervisor, engine = loader.below("entry.supervisor"), loader.below("entry.locust")
    found = {process.pid for process in orphans.ProcessSupervisor().orphans()}
    assert not found & {supervisor.pid, engine.pid, loader.process.pid}
    assert identity_of(loader.process.pid) == supervisor.environ()[STARTER_VARIABLE] == engine.environ()[STARTER_VARIABLE]


def test_supervisor_and_engine_are_ended_when_their_starter_is_gone(loader: Loader, target: Target) -> None:
    """A stopped supervisor does not notice its parent's death, so nothing but this ends its engine."""
    supervisor, engine = loader.below("entry.supervisor"), loader.below("entry.locust")
    supervisor.send_signal(signal.SIGSTOP)
    loader.process.kill()
    loader.process.wait()
    before = target.counts()["/ok"]
    wait_for("load that goes on", lambda: target.counts()["/ok"] > before, 20)
    killed = ProcessSupervisor().kill_orphans()
    assert {supervisor.pid, engine.pid} <= set(killed)
    assert not is_alive(supervisor)
    assert not is_alive(engine)
    assert loader.process.pid not in killed
    after = target.counts()["/ok"]
    assert not {supervisor.pid, engine.pid} & set(ProcessSupervisor().kill_orphans())
    assert target.counts()["/ok"] == after


def test_a_foreign_process_is_spared_whatever_its_name(tmp_path: Path) -> None:
    """Named like an editor of locust files, its command line full of the words, its own parent gone."""
    editor = tmp_path / "locust-editor"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", editor)
    shell = f"'{editor}' 60 >/dev/null 2>&1 & echo $!"
    pid = int(subprocess.run(["sh", "-c", shell], stdout=subprocess.PIPE, text=True, check=True).stdout)
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "gevent", "locust", "loadflow.engine.entry.locust"])
    try:
        wait_for("both", lambda: len(list(orphans.psutil.process_iter())) >= 2, 20)
        killed = ProcessSupervisor(name_substrings=("locust", "gevent", "sleep")).kill_orphans()
        assert not {pid, other.pid, os.getpid(), os.getppid()} & set(killed)
        assert is_alive(psutil.Process(pid))
        assert other.poll() is None
    finally:
        os.kill(pid, signal.SIGKILL)
        other.kill()
        other.wait()


def marked(mark: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env={**os.environ, STARTER_VARIABLE: mark})


def parts() -> tuple[str, str, str]:
    pid, began, where = own_identity().split(":")
    return pid, began, where


MARKS = [
    ("of this very process", lambda pid, began, where: f"{pid}:{began}:{where}", False),
    ("of an earlier process with this pid", lambda pid, began, where: f"{pid}:{int(began) - 1}:{where}", True),
    ("of a pid that nobody has", lambda pid, began, where: f"{2**22 + 5}:{began}:{where}", True),
    ("of another container's pids", lambda pid, began, where: f"{2**22 + 5}:{began}:{int(where) + 1}", False),
    ("something else's", lambda pid, began, where: "yes", False),
    ("empty", lambda pid, began, where: "", False),
]


@pytest.mark.parametrize(("sentence", "mark_of", "is_orphan"), MARKS, ids=[row[0] for row in MARKS])
def test_a_mark_means_one_process_only(sentence: str, mark_of: Callable[[str, str, str], str], is_orphan: bool) -> None:
    mark = mark_of(*parts())
    process = marked(mark)
    try:
        wait_for("its environment", lambda: psutil.Process(process.pid).environ().get(STARTER_VARIABLE) == mark, 20)
        assert (process.pid in {one.pid for one in ProcessSupervisor().orphans()}) is is_orphan
    finally:
        process.kill()
        process.wait()


def test_one_that_ignores_term_is_killed_after_the_grace() -> None:
    pid, _, where = parts()
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    environment = {**os.environ, STARTER_VARIABLE: f"{pid}:1:{where}"}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    supervisor = ProcessSupervisor(grace_seconds=0.2)
    assert supervisor.kill_orphans() == supervisor.killed == [process.pid]
    assert not psutil.pid_exists(process.pid)
    process.stdout.close()
    process.wait()


@pytest.mark.parametrize(
    "error", [psutil.AccessDenied(1), psutil.NoSuchProcess(1), psutil.ZombieProcess(1)], ids=lambda error: type(error).__name__
)
def test_a_process_that_cannot_be_looked_into_does_not_end_the_sweep(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    pid, _, where = parts()
    process = marked(f"{pid}:1:{where}")

    class Foreign:
        pid = 999_999

        def environ(self) -> Any:
            raise error

    try:
        wait_for("its environment", lambda: STARTER_VARIABLE in psutil.Process(process.pid).environ(), 20)
        monkeypatch.setattr(orphans.psutil, "process_iter", lambda: iter([Foreign(), psutil.Process(process.pid)]))
        assert ProcessSupervisor().kill_orphans() == [process.pid]
    finally:
        process.kill()
        process.wait()


def test_an_identity_ends_with_its_process() -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    identity = identity_of(process.pid)
    assert identity == identity_of(process.pid)
    assert pid_of(identity) == process.pid
    process.kill()
    wait_for("its zombie", lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE, 20)
    assert identity_of(process.pid) == ""
    process.wait()
    assert identity_of(process.pid) == ""


def test_the_documented_defaults() -> None:
    supervisor = ProcessSupervisor()
    assert (supervisor.name_substrings, supervisor.grace_seconds) == (("locust", "gevent"), 2.0)
    with pytest.raises(ValueError, match="grace_seconds"):
        ProcessSupervisor(grace_seconds=-1)
