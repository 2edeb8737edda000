"""What goes wrong: agents that die, leave, never come or lack the token, a coordinator that is gone, a budget, a slow network."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from loadflow.engine.load.start import start_test
from loadflow.engine.records.hitlog import HIT_DTYPE
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.run import Run
from loadflow.engine.reliability.budget import FailureBudget, InstalledBudget
from loadflow.engine.session.session import Session, use_session
from tests.fleet.machines import TOKEN, AgentCommand, InBackground, agents, below, master
from tests.fleet.slow import SlowWay
from tests.load.harness import Outcomes, get
from tests.targets.fixture import Target
from tests.waiting import HANG_S, wait_for
from tests.warm.asked import MAY_BEGIN_WARM


def received(target: Target) -> int:
    return sum(target.counts().values())


def kill_machine(command: AgentCommand) -> None:
    """Agent, supervisor and engine at once."""
    processes = [psutil.Process(command.process.pid), *below(command.process.pid)]
    for process in processes:
        process.suspend()
    for process in processes:
        process.kill()


RATE_S = 30  # an agent is lost after some 4 s of it; 6 s later another is asked, and has the rest
RATE = {"mode": "constant", "rps": 50, "duration": RATE_S}
DUE = 50 * RATE_S


def books(done: Outcomes, target: Target) -> dict[str, int]:
    """Of a load with a rate of which agents were lost: no pass is nowhere, none was made twice, and what was sent is in the folder but for
    what a killed engine had not written yet."""
    passes: dict[str, int] = done.summary["passes"]
    assert passes["due"] == DUE == passes["started"] + passes["dropped"] + passes["lost"]
    rows, sent = done.summary["totals"]["requests"], received(target)
    assert rows <= sent <= rows + 40  # of a tenth of a second, in which rows are kept before they are written, and one request in flight
    due = done.rows["due_ns"]
    assert len(set(due.tolist())) == len(due), "a pass was made twice"
    return passes


@pytest.mark.parametrize("user", ["native", pytest.param("fast_http_user", marks=pytest.mark.long)])
def test_what_a_killed_agent_leaves_is_made_by_a_spare(user: str, target: Target, tmp_path: Path, port: int) -> None:
    """Whole machines die at once: the agent with its supervisor and its engine."""
    target.reset()
    with agents(tmp_path, port, 3, "--slots", "1") as commands:
        loading = InBackground(tmp_path, port, 2, [get("/ok")], user=user, host=target.url, rate=RATE)
        wait_for("hits", lambda: received(target) > 150, 200)
        victim = next(one for one in commands if one.has_said("has share"))
        kill_machine(victim)
        done = loading.done
    assert done.error is None
    passes = books(done, target)
    assert 0 < passes["lost"] <= DUE // 2
    states = sorted((worker["state"], worker["from_s"] > 0) for worker in done.summary["workers"])
    assert states == [("finished", False), ("finished", True), ("lost", False)]
    later = next(worker for worker in done.summary["workers"] if worker["from_s"])
    assert later["hits"] == 25 * (RATE_S - later["from_s"])  # to the pass
    reason = done.summary["verdict"]["reasons"][0]
    assert done.summary["verdict"]["verdict"] == "inconclusive"
    assert reason.startswith("degraded: worker ")
    assert f"went on with its share from {later['from_s']} s on" in reason


@pytest.mark.long
def test_without_a_spare_a_survivor_takes_over_and_a_gap_may_be_allowed(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    with agents(tmp_path, port, 2, "--slots", "1") as (first, second):
        given = {"host": target.url, "rate": RATE, "allow_gap": True, "rate_tolerance": 0.9}
        loading = InBackground(tmp_path, port, 2, [get("/ok")], **given)
        wait_for("hits", lambda: received(target) > 150, 200)
        kill_machine(first)
        done = loading.done
    books(done, target)
    later = next(worker for worker in done.summary["workers"] if worker["from_s"])
    assert second.has_said(f"from {later['from_s']} s on")
    assert done.summary["verdict"]["verdict"] == "passed"


def test_an_engine_that_is_killed_is_named_and_its_users_passes_are_made_again(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    with agents(tmp_path, port, 2, "--slots", "1") as (first, _):
        loading = InBackground(tmp_path, port, 2, [get("/ok")], host=target.url, user_count=4, iterations=250, wait_time=0.01)
        wait_for("hits", lambda: received(target) > 100, 200)
        first.engine.kill()
        done = loading.done
    lost = next(worker for worker in done.summary["workers"] if worker["state"] == "lost")
    assert lost["id"] in "".join(first.lines)
    assert "its engine was killed by SIGKILL" in lost["message"]
    # nothing is recorded that was not sent
    assert done.summary["totals"]["requests"] == sum(worker["hits"] for worker in done.summary["workers"]) <= received(target)
    passes = done.summary["passes"]
    assert passes["due"] == 1000
    assert passes["lost"] <= 60  # what was in flight, and what does not divide
    assert done.summary["verdict"]["verdict"] == "inconclusive"


@pytest.mark.long
def test_a_failed_load_stays_failed_when_a_worker_was_lost(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    with agents(tmp_path, port, 2) as (first, _):
        loading = InBackground(tmp_path, port, 2, [get("/status/500")], host=target.url, user_count=2, iterations=200, wait_time=0.01)
        wait_for("hits", lambda: received(target) > 20, 200)
        first.engine.kill()
        verdict = loading.done.summary["verdict"]
    assert verdict["verdict"] == "failed"


def test_an_agent_that_is_asked_to_end_delivers_its_hits_and_another_goes_on(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    with agents(tmp_path, port, 3, "--slots", "1") as commands:
        loading = InBackground(tmp_path, port, 2, [get("/ok")], host=target.url, rate=RATE)
        wait_for("hits", lambda: received(target) > 150, 200)
        leaving = next(one for one in commands if one.has_said("has share"))
        leaving.process.send_signal(signal.SIGTERM)
        assert leaving.wait() == 0
        done = loading.done
    assert sorted(worker["state"] for worker in done.summary["workers"]) == ["finished", "finished", "left"]
    assert done.summary["totals"]["requests"] == received(target)
    books(done, target)
    assert done.summary["verdict"]["verdict"] == "inconclusive"


def test_an_agent_without_the_token_is_refused_and_never_gets_the_plan(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    stranger = AgentCommand(tmp_path, f"nats://127.0.0.1:{port}", "--once", token="another token altogether")
    try:
        stranger.says("waiting for a NATS server")
        done = master(tmp_path, port, 1, [get("/ok")], host=target.url, worker_startup_timeout=8)
        assert stranger.wait() == 5
    finally:
        stranger.stop()
    assert stranger.has_said("refused")
    assert stranger.has_said("give both sides the same token")
    assert received(target) == 0
    assert "0 of 1 share had an agent within 8 s (none)" in str(done.error)


@pytest.mark.long
def test_too_few_agents_fail_the_start_and_those_who_came_are_named(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    with agents(tmp_path, port, 1) as (only,):
        only.says("waiting for a NATS server")
        done = master(tmp_path, port, 2, [get("/ok")], host=target.url, worker_startup_timeout=30)
    assert received(target) == 0
    assert "1 of 2 shares had an agent within 30 s (" in str(done.error)
    named = next(line for line in only.lines if "waiting for work" in line).split(":")[0]
    assert named in str(done.error)


def test_by_the_degraded_policy_the_load_begins_with_those_who_came(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    with agents(tmp_path, port, 1) as (only,):
        only.says("waiting for a NATS server")
        rules = {"worker_startup_timeout": 30, "worker_startup_policy": "degraded"}
        done = master(tmp_path, port, 2, [get("/ok")], host=target.url, user_count=6, iterations=5, **rules)
    assert received(target) == done.summary["totals"]["requests"] in (15, 30)
    states = [worker["state"] for worker in done.summary["workers"]]
    assert states in (["finished", "absent"], ["finished", "finished", "absent"])  # the one who came may go on with the other's share
    (absent,) = (worker["shard"] for worker in done.summary["workers"] if worker["state"] == "absent")  # either share may be left over
    assert done.summary["verdict"]["reasons"][0].startswith(f"degraded: worker number {absent + 1} never came")


@pytest.mark.parametrize("kind", ["a file", pytest.param("a database", marks=pytest.mark.long)])
def test_agents_share_no_row_and_need_no_files(kind: str, target: Target, tmp_path: Path, port: int) -> None:
    """The rows, an uploaded file and the environment come from the coordinator."""
    target.reset()
    place: dict[str, Any] = {"file_path": str(tmp_path / "rows.csv")}
    (tmp_path / "rows.csv").write_text("id\n" + "".join(f"{n}\n" for n in range(40)))
    if kind == "a database":
        with sqlite3.connect(tmp_path / "rows.db") as database:
            database.execute("CREATE TABLE rows (id INTEGER)")
            database.executemany("INSERT INTO rows VALUES (?)", [(n,) for n in range(40)])
        database.close()
        place = {"database": {"url": f"sqlite:///{tmp_path / 'rows.db'}", "query": "SELECT id FROM rows"}}
    (tmp_path / "note.txt").write_text("an upload")
    step = {"method": "post", "request_url": "/rows/${csv.rows.id}", "files": {"note": str(tmp_path / "note.txt")}}
    sources = [{"name": "rows", **place, "mode": "once"}]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with agents(elsewhere, port, 2):
        done = master(tmp_path, port, 2, [step], host=target.url, user_count=4, iterations=10, csv_sources=sources, max_failure_rate=1)
    assert done.error is None
    paths = [record.path for record in target.records()]
    assert sorted(paths) == sorted(f"/rows/{n}" for n in range(40))
    assert all(b"an upload" in record.body and b'filename="note.txt"' in record.body for record in target.records())


LONG_RATE = pytest.param({"mode": "constant", "rps": 100, "duration": 300}, marks=pytest.mark.long, id="a rate")


@pytest.mark.parametrize("rate", [pytest.param(None, id="users"), LONG_RATE])
def test_a_load_ends_when_all_rows_of_all_agents_are_used(rate: Any, target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    (tmp_path / "rows.csv").write_text("id\n" + "".join(f"{n}\n" for n in range(40)))
    sources = [{"name": "rows", "file_path": str(tmp_path / "rows.csv"), "mode": "once"}]
    timed = {"test_time": 300} if rate is None else {"rate": rate}
    with agents(tmp_path, port, 2):
        given = {"user_count": 4, "iterations": None, "csv_sources": sources, "max_failure_rate": 1, **timed}
        done = master(tmp_path, port, 2, [get("/rows/${csv.rows.id}")], host=target.url, **given)
    assert done.error is None
    assert sorted(record.path for record in target.records()) == sorted(f"/rows/{n}" for n in range(40))
    assert sum(hit.outcome is Outcome.TEMPLATE for hit in done.hits) == 4
    assert done.run.end().ran_s < 100


def test_a_failure_budget_of_the_coordinator_ends_the_load_of_all_agents(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    with agents(tmp_path, port, 2), use_session(Session(runs_dir=tmp_path / "runs")) as session:
        session.budget = InstalledBudget(FailureBudget(0.1, 10, 20))
        summary = start_test(
            {"user": "fast_http_user"},
            user_count=4,
            spawn_rate=100,
            test_time=None,
            wait_time=0.01,
            tasks=[get("/status/500")],
            host=target.url,
            runner_mode="master",
            master_bind_port=port,
            master_bind_host="127.0.0.1",
            expected_workers=2,
        )
    assert summary["verdict"]["verdict"] == "failed"
    assert "failure budget" in summary["verdict"]["reasons"][0]
    assert summary["totals"]["requests"] == received(target)


MASTER = """
import sys
from pathlib import Path
from typing import Any
from tests.fleet.machines import master
from tests.load.harness import Outcomes, get
if __name__ == "__main__":
    endless = {"test_time": None, "iterations": None, "wait_time": 0.01}
    master(Path(sys.argv[1]), int(sys.argv[2]), 1, [get("/ok")], host=sys.argv[3], user_count=3, **endless)
"""


def coordinator(tmp_path: Path, port: int, target: Target) -> subprocess.Popen[bytes]:
    """A command that leads one agent without end."""
    command = [sys.executable, "-c", MAY_BEGIN_WARM + MASTER, str(tmp_path), str(port), target.url]
    return subprocess.Popen(command, env={**os.environ, "LOADFLOW_WORKER_TOKEN": TOKEN}, stderr=subprocess.DEVNULL)


def test_ctrl_c_of_the_coordinator_ends_the_load_and_takes_every_row(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    with agents(tmp_path, port, 1) as (one,):
        process = coordinator(tmp_path, port, target)
        wait_for("hits", lambda: received(target) > 50, 200)
        process.send_signal(signal.SIGINT)
        ended = time.monotonic_ns()
        process.wait(timeout=30)
        assert one.wait() == 0
    assert max(record.at_ns for record in target.records()) - ended < 5e9
    run = Run.open(next((tmp_path / "runs").glob("*/")))
    assert len(run.hits()) == received(target)


def test_nothing_is_sent_five_seconds_after_the_coordinator_was_killed(target: Target, tmp_path: Path, port: int) -> None:
    """Its own NATS server ends with it; the hits stay on the agent's disk, which says where."""
    target.reset()
    with agents(tmp_path, port, 1) as (one,):
        process = coordinator(tmp_path, port, target)
        wait_for("hits", lambda: received(target) > 50, 200)
        process.kill()
        ended = time.monotonic_ns()
        process.wait(timeout=30)
        one.says("nothing was heard of the coordinator")
        engine = one._engine()
        if engine is not None:
            engine.wait(timeout=30)
        one.process.send_signal(signal.SIGTERM)
        assert one.wait() == 1
    assert max(record.at_ns for record in target.records()) - ended < 5e9
    kept = next(line for line in one.lines if "the hits of this share are in " in line).rpartition(" ")[2]
    assert (Path(kept) / "hits-0.bin").stat().st_size == 64 + HIT_DTYPE.itemsize * received(target)


@pytest.mark.long
def test_a_slow_way_to_the_server_loses_nothing(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    with SlowWay(port, delay_s=0.15, bytes_per_s=60_000) as way, agents(tmp_path, way.port, 2) as commands:
        done = master(tmp_path, port, 2, [get("/ok")], host=target.url, user_count=10, iterations=300)
        assert [one.wait() for one in commands] == [0, 0]
    assert done.error is None
    assert done.summary["totals"]["requests"] == received(target) == 3000
    assert done.summary["verdict"]["verdict"] == "passed"
    assert all(0 < worker["clock_error_ms"] < 5000 for worker in done.summary["workers"])


def test_a_connection_that_breaks_in_the_middle_loses_nothing(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    with SlowWay(port, delay_s=0.0, bytes_per_s=10**9) as way, agents(tmp_path, way.port, 1):
        loading = InBackground(tmp_path, port, 1, [get("/ok")], host=target.url, user_count=4, iterations=400, wait_time=0.01)
        for hits in (200, 600, 1000):
            wait_for("hits", lambda hits=hits: received(target) > hits, 200)
            way.cut()
        done = loading.done
    assert done.error is None
    assert done.summary["totals"]["requests"] == received(target) == 1600


def test_an_agent_serves_run_after_run(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    with agents(tmp_path, port, 1, "--slots", "2") as (machine,):
        for _ in range(2):
            done = master(tmp_path, port, 2, [get("/ok")], host=target.url, user_count=4, iterations=5)
            assert done.summary["verdict"]["verdict"] == "passed"
    assert received(target) == 40
    assert machine.has_said("SIGTERM: ending the load")


def test_runner_mode_worker_in_a_script_serves_one_run(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    action = {
        "user_detail_dict": {"user": "fast_http_user"},
        "tasks": [get(target.url + "/never")],
        "runner_mode": "worker",
        "master_host": "127.0.0.1",
        "master_port": port,
    }
    text = f"import json; from loadflow import start_test; print(json.dumps(start_test(**json.loads({json.dumps(json.dumps(action))}))))"
    process = subprocess.Popen([sys.executable, "-c", MAY_BEGIN_WARM + text], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    done = master(tmp_path, port, 1, [get("/ok")], host=target.url, user_count=2, iterations=5)
    said, _ = process.communicate(timeout=HANG_S)
    assert target.counts() == {"/ok": 10}
    assert json.loads(said) == {"runner_mode": "worker", "master": f"127.0.0.1:{port}", "run": done.run.facts.id, "hits": 10}
