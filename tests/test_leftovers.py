"""What a test leaves running is ended with its session, and named: see `tests.leftovers`."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.processes, pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")]

ROOT = Path(__file__).resolve().parents[1]
WITH_AND_WITHOUT_XDIST = pytest.mark.parametrize(
    "arguments", [pytest.param((), id="one process", marks=pytest.mark.long), pytest.param(("-n", "1"), id="xdist")]
)
LEAK = """
import pathlib, subprocess, sys, time

def test_leak(request):
    # in a session of its own, as an engine is
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], start_new_session=True)
    pathlib.Path("pid").write_text(str(process.pid))
    pathlib.Path("pid").rename("leaked")
    {end}
"""


def session(folder: Path, end: str, *arguments: str) -> subprocess.Popen[str]:
    """A pytest of its own, with one test that leaks and goes on as `end` says."""
    (folder / "test_leak.py").write_text(LEAK.format(end=end))
    (folder / "pytest.ini").write_text("[pytest]\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environment["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.leftovers_plugin", "-p", "no:cacheprovider", *arguments]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def leaked(folder: Path, process: subprocess.Popen[str]) -> psutil.Process:
    while not (folder / "leaked").exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    return psutil.Process(int((folder / "leaked").read_text()))


def lives(process: psutil.Process) -> bool:
    """A dead one may stay in the table of processes until somebody asks how it ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


@WITH_AND_WITHOUT_XDIST
def test_a_session_names_and_ends_what_its_tests_left_running(arguments: tuple[str, ...], tmp_path: Path) -> None:
    process = session(tmp_path, "pass", *arguments)
    left = leaked(tmp_path, process)
    said, _ = process.communicate()
    assert process.returncode == 1, said
    assert f"left running by the tests, and ended now: {left.pid}: " in said
    assert not lives(left)


@WITH_AND_WITHOUT_XDIST
def test_what_a_killed_session_left_running_is_ended(arguments: tuple[str, ...], tmp_path: Path) -> None:
    process = session(tmp_path, "time.sleep(3600)", *arguments)
    left = leaked(tmp_path, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()  # until nobody holds its output: the workers of xdist are gone too
    while lives(left):
        time.sleep(0.05)


def test_what_a_worker_that_died_left_running_is_ended(tmp_path: Path) -> None:
    process = session(tmp_path, "import os; os.kill(os.getpid(), 9)", "-n", "1", "--max-worker-restart", "0")
    left = leaked(tmp_path, process)
    process.communicate()
    assert process.returncode == 1
    assert not lives(left)
