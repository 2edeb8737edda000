"""What happens to a load when the NATS server dies, an agent stands still, or one of another version comes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from loadflow.engine.plan.cluster import Workers
from loadflow.engine.session.session import Session, use_session
from tests.fleet.machines import AgentCommand, InBackground, agents, given_server, master
from tests.fleet.test_losses import RATE, books, received
from tests.load.harness import get
from tests.targets.fixture import Target
from tests.waiting import wait_for
from tests.warm.asked import MAY_BEGIN_WARM


def server_of_this_process() -> psutil.Process:
    """The NATS server that a load of this process has started."""
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.name() == "nats-server":
                return child
    raise AssertionError("there is no NATS server below this process")


def test_a_nats_server_that_is_killed_is_back_at_once_and_no_row_is_lost(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    with agents(tmp_path, port, 2):
        loading = InBackground(tmp_path, port, 2, [get("/ok")], host=target.url, user_count=4, iterations=300, wait_time=0.02)
        wait_for("hits", lambda: received(target) > 100, 200)
        server_of_this_process().kill()
        done = loading.done
    assert done.error is None
    assert done.summary["totals"]["requests"] == received(target) == 1200
    assert [worker["state"] for worker in done.summary["workers"]] == ["finished"] * 2


@pytest.mark.long
def test_an_agent_that_stands_still_makes_no_load_that_another_makes(target: Target, tmp_path: Path, port: int) -> None:
    """Its engine is ended by its supervisor before its share is given away; when it wakes, it goes on with nothing of it."""
    target.reset()
    with agents(tmp_path, port, 3, "--slots", "1") as commands:
        loading = InBackground(tmp_path, port, 2, [get("/ok")], host=target.url, rate=RATE)
        wait_for("hits", lambda: received(target) > 150, 200)
        victim = next(one for one in commands if one.has_said("has share"))
        os.kill(victim.process.pid, signal.SIGSTOP)
        wait_for("another agent", lambda: any(one.has_said(" s on") for one in commands), 200)
        os.kill(victim.process.pid, signal.SIGCONT)
        done = loading.done
    passes = books(done, target)
    assert passes["lost"] > 0
    # what it had recorded came when it woke
    assert done.summary["totals"]["requests"] == received(target)


def test_an_agent_of_another_version_is_told_so_and_gets_nothing(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    old = "import loadflow.engine.fleet.agent as a, loadflow.__main__ as m, sys; a.version_of = lambda name: '0.0.9'; m.start()"
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-c", MAY_BEGIN_WARM + old, "agent", "--nats-url", f"nats://127.0.0.1:{port}"]
    process = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        done = master(tmp_path, port, 1, [get("/ok")], host=target.url, worker_startup_timeout=30)
    finally:
        process.terminate()
        said, _ = process.communicate(timeout=60)
    assert received(target) == 0
    assert "this agent is 0.0.9; install the same" in said
    assert "0 of 1 share had an agent" in str(done.error)


def test_agents_wait_at_a_server_of_others_whose_room_is_small(target: Target, tmp_path: Path) -> None:
    """The stream of rows may then hold 64 MB; what does not fit waits on the agents' disks."""
    target.reset()
    from loadflow.engine.load.start import start_test

    with given_server(tmp_path, most_bytes=80 * 2**20) as access:
        agent = AgentCommand(tmp_path, access.url, "--slots", "2", token=None)
        try:
            with use_session(Session(runs_dir=tmp_path / "runs", workers=Workers(2, access.url))):
                for _ in range(2):
                    given = {"user_count": 4, "spawn_rate": 100, "iterations": 50, "test_time": 60, "tasks": [get("/ok")]}
                    summary = start_test({"user": "fast_http_user"}, host=target.url, worker_startup_timeout=200, **given)
                    assert summary["verdict"]["verdict"] == "passed"
        finally:
            agent.stop()
    assert received(target) == 400


COORDINATOR = """
import sys
from pathlib import Path
from loadflow.engine.load.start import start_test
from loadflow.engine.plan.cluster import Workers
from loadflow.engine.session.session import Session, use_session
if __name__ == "__main__":
    with use_session(Session(runs_dir=Path(sys.argv[1]) / "runs", workers=Workers(2, sys.argv[2]))):
        tasks = [{"method": "get", "request_url": "/ok"}]
        rate = {"mode": "constant", "rps": 100, "duration": 600}
        start_test({"user": "fast_http_user"}, host=sys.argv[3], tasks=tasks, rate=rate, worker_startup_timeout=200)
"""


def test_a_killed_run_gets_every_row_and_its_end_by_resume(target: Target, tmp_path: Path) -> None:
    from loadflow.engine.records.run import Run

    target.reset()
    with given_server(tmp_path, most_bytes=2**33) as access:
        agent = AgentCommand(tmp_path, access.url, "--slots", "2", token=None)
        try:
            process = subprocess.Popen([sys.executable, "-c", MAY_BEGIN_WARM + COORDINATOR, str(tmp_path), access.url, target.url])
            wait_for("hits", lambda: received(target) > 200, 200)
            process.kill()
            process.wait()
            agent.says("nothing was heard of the coordinator")
            folder = next((tmp_path / "runs").glob("*/"))
            command = [sys.executable, "-m", "loadflow", "resume", str(folder), "--nats-url", access.url]
            resumed = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
            assert resumed.returncode == 4, resumed.stdout + resumed.stderr
            assert "2 of 2 shares whole" in resumed.stdout
            wait_for("the agent to hear of it", lambda: sum("all received" in line for line in agent.lines) == 2, 60)
        finally:
            agent.stop()
    run = Run.open(folder)
    assert len(run.hits()) == received(target)
    assert run.totals().hits == received(target)
    assert run.totals().passes.balanced
    assert (folder / "report.html").exists()
