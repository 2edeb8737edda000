"""What goes wrong: workers that die, leave, never come or lack the token, a master that is gone, a budget, a slow network."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from loadflow.engine.load.start import start_test
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.run import Run
from loadflow.engine.reliability.budget import FailureBudget
from loadflow.engine.reliability.budget_watch import InstalledBudget
from loadflow.engine.session import Session, use_session
from tests.cluster.machines import TOKEN, InBackground, WorkerCommand, master, workers
from tests.cluster.slow import SlowWay
from tests.ends.processes import wait_for
from tests.load.harness import get
from tests.targets.fixture import Target


def received(target: Target) -> int:
    return sum(target.counts().values())


def test_a_worker_that_is_killed_is_named_and_its_users_go_to_the_other(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    with workers(tmp_path, port, 2) as (first, second):
        loading = InBackground(
            tmp_path, port, 2, [get("/ok")], host=target.url, user_count=4, iterations=250, wait_time=0.01, worker_lost_timeout=2
        )
        wait_for("hits", lambda: received(target) > 100, 60)
        first.engine.kill()
        done = loading.done
        assert second.wait() == 0
    lost, other = sorted(done.summary["workers"], key=lambda worker: worker["state"] != "lost")
    assert (lost["state"], other["state"]) == ("lost", "finished")
    assert lost["id"] in "".join(first.lines)
    # nothing is recorded that was not sent; what is missing is at most what the lost worker sent after its last delivery
    assert done.summary["totals"]["requests"] == lost["hits"] + other["hits"] <= received(target)
    # the other one made the passes of all four users
    assert other["hits"] == 4 * 250
    assert done.summary["verdict"]["verdict"] == "inconclusive"
    reason = done.summary["verdict"]["reasons"][0]
    assert reason.startswith(f"degraded: worker {lost['id']} on ")
    assert f"its hits from {lost['recorded_s']:.1f} s on may be missing" in reason


def test_a_failed_load_stays_failed_when_a_worker_was_lost(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    with workers(tmp_path, port, 2) as (first, _):
        loading = InBackground(
            tmp_path, port, 2, [get("/status/500")], host=target.url, user_count=2, iterations=200, wait_time=0.01, worker_lost_timeout=2
        )
        wait_for("hits", lambda: received(target) > 20, 60)
        first.engine.kill()
        verdict = loading.done.summary["verdict"]
    assert verdict["verdict"] == "failed"


def test_a_worker_that_is_asked_to_end_delivers_its_hits_and_the_other_goes_on(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    with workers(tmp_path, port, 2, "--once") as (first, second):
        loading = InBackground(tmp_path, port, 2, [get("/ok")], host=target.url, user_count=4, iterations=200, wait_time=0.01)
        wait_for("hits", lambda: received(target) > 100, 60)
        first.process.send_signal(signal.SIGINT)
        assert first.wait() == 0
        done = loading.done
        assert second.wait() == 0
    assert sorted(worker["state"] for worker in done.summary["workers"]) == ["finished", "left"]
    assert done.summary["totals"]["requests"] == received(target)
    assert done.summary["verdict"]["verdict"] == "inconclusive"


def test_a_worker_without_the_token_is_refused_and_never_gets_the_plan(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    stranger = WorkerCommand(tmp_path, f"127.0.0.1:{port}", "--once", token="another token altogether")
    try:
        stranger.says("waiting for a master")
        done = master(tmp_path, port, 1, [get("/ok")], host=target.url, worker_startup_timeout=5)
        assert stranger.wait() == 5
    finally:
        stranger.stop()
    assert stranger.has_said("the master refused this worker; give both the same token")
    assert received(target) == 0
    assert "0 of 1 workers came within 5 s (none)" in str(done.error)
    assert "refused a worker at 127.0.0.1" in (done.run.folder / "engine-0.log").read_text()


def test_too_few_workers_fail_the_start_and_those_who_came_are_named(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    with workers(tmp_path, port, 1) as (only,):
        only.says("waiting for a master")
        done = master(tmp_path, port, 2, [get("/ok")], host=target.url, worker_startup_timeout=4)
    assert received(target) == 0
    assert "1 of 2 workers came within 4 s (" in str(done.error)
    assert only.lines[0].split(":")[0] in str(done.error)


def test_by_the_degraded_policy_the_load_begins_with_those_who_came(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    with workers(tmp_path, port, 1) as (only,):
        only.says("waiting for a master")
        rules = {"worker_startup_timeout": 4, "worker_startup_policy": "degraded"}
        done = master(tmp_path, port, 2, [get("/ok")], host=target.url, user_count=6, iterations=5, **rules)
    assert received(target) == done.summary["totals"]["requests"] == 30
    assert [worker["state"] for worker in done.summary["workers"]] == ["finished", "absent"]
    assert done.summary["verdict"]["reasons"] == ["degraded: worker number 2 never came"]


def test_workers_share_no_row_and_need_no_files(target: Target, tmp_path: Path, port: int) -> None:
    """The rows, an uploaded file and the environment come from the master."""
    target.reset()
    (tmp_path / "rows.csv").write_text("id\n" + "".join(f"{n}\n" for n in range(40)))
    (tmp_path / "note.txt").write_text("an upload")
    step = {"method": "post", "request_url": "/rows/${csv.rows.id}", "files": {"note": str(tmp_path / "note.txt")}}
    sources = [{"name": "rows", "file_path": str(tmp_path / "rows.csv"), "mode": "once"}]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with workers(elsewhere, port, 2):
        done = master(tmp_path, port, 2, [step], host=target.url, user_count=4, iterations=10, csv_sources=sources, max_failure_rate=1)
    assert done.error is None
    paths = [record.path for record in target.records()]
    assert sorted(paths) == sorted(f"/rows/{n}" for n in range(40))
    assert all(b"an upload" in record.body and b'filename="note.txt"' in record.body for record in target.records())


@pytest.mark.parametrize("rate", [None, {"mode": "constant", "rps": 100, "duration": 300}], ids=["users", "a rate"])
def test_a_load_ends_when_all_rows_of_all_workers_are_used(rate: Any, target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    (tmp_path / "rows.csv").write_text("id\n" + "".join(f"{n}\n" for n in range(40)))
    sources = [{"name": "rows", "file_path": str(tmp_path / "rows.csv"), "mode": "once"}]
    timed = {"test_time": 300} if rate is None else {"rate": rate, "spawn_rate": 10}
    with workers(tmp_path, port, 2):
        given = {"user_count": 4, "iterations": None, "csv_sources": sources, "max_failure_rate": 1, **timed}
        done = master(tmp_path, port, 2, [get("/rows/${csv.rows.id}")], host=target.url, **given)
    assert done.error is None
    assert sorted(record.path for record in target.records()) == sorted(f"/rows/{n}" for n in range(40))
    assert sum(hit.outcome is Outcome.TEMPLATE for hit in done.hits) == 4
    assert done.run.end().ran_s < 100


def test_a_failure_budget_on_the_master_ends_the_load_of_all_workers(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    with workers(tmp_path, port, 2), use_session(Session(runs_dir=tmp_path / "runs")) as session:
        session.budget = InstalledBudget(FailureBudget(0.1, 10, 20))
        rules = {"worker_heartbeat_interval": 0.5, "worker_lost_timeout": 4}
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
            **rules,
        )
    assert summary["verdict"]["verdict"] == "failed"
    assert "failure budget" in summary["verdict"]["reasons"][0]
    assert summary["totals"]["requests"] == received(target)


MASTER = """
import sys
from pathlib import Path
from typing import Any
from tests.cluster.machines import master
from tests.load.harness import get
if __name__ == "__main__":
    endless = {"test_time": None, "iterations": None, "wait_time": 0.01}
    master(Path(sys.argv[1]), int(sys.argv[2]), 1, [get("/ok")], host=sys.argv[3], user_count=3, **endless)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_sent_five_seconds_after_the_end_of_the_master(
    number: signal.Signals, target: Target, tmp_path: Path, port: int
) -> None:
    """Ctrl-C, or the death of the process that started the load; its supervisor and engine see to the rest."""
    target.reset()
    with workers(tmp_path, port, 1) as (one,):
        command = [sys.executable, "-c", MASTER, str(tmp_path), str(port), target.url]
        process = subprocess.Popen(command, env={**os.environ, "LOADFLOW_WORKER_TOKEN": TOKEN}, stderr=subprocess.DEVNULL)
        wait_for("hits", lambda: received(target) > 50, 60)
        process.send_signal(number)
        ended = time.monotonic_ns()
        process.wait(timeout=30)
        assert one.wait() == 0
    assert max(record.at_ns for record in target.records()) - ended < 5e9
    run = Run.open(next((tmp_path / "runs").iterdir()))
    assert len(run.hits()) == received(target)


def test_a_worker_whose_master_is_killed_outright_stops_and_keeps_its_hits(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    with workers(tmp_path, port, 1) as (one,):
        loading = InBackground(
            tmp_path, port, 1, [get("/ok")], host=target.url, user_count=3, test_time=None, iterations=None, wait_time=0.01
        )
        wait_for("hits", lambda: received(target) > 50, 60)
        engines = [child for child in psutil.Process().children(recursive=True) if _is_master(child)]
        ended = time.monotonic_ns()
        engines[0].kill()
        assert one.wait() == 0
        assert loading.done.error is not None
    assert max(record.at_ns for record in target.records()) - ended < 5e9
    kept = next(line for line in one.lines if "the hits of this worker are in " in line).rpartition(" ")[2]
    assert (Path(kept) / "hits.bin").stat().st_size == 64 + 48 * received(target)


def _is_master(process: psutil.Process) -> bool:
    """An engine below this process's own supervisor, not below a worker command."""
    try:
        parent = process.parent()
        grand = parent.parent() if parent else None
        return grand is not None and grand.pid == os.getpid() and "loadflow.engine.load.worker" in process.cmdline()
    except psutil.NoSuchProcess:
        return False


def test_a_slow_way_to_the_master_loses_nothing(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    with SlowWay(port, delay_s=0.15, bytes_per_s=60_000) as way, workers(tmp_path, way.port, 2) as commands:
        done = master(tmp_path, port, 2, [get("/ok")], host=target.url, user_count=10, iterations=300)
        assert [one.wait() for one in commands] == [0, 0]
    assert done.error is None
    assert done.summary["totals"]["requests"] == received(target) == 3000
    assert done.summary["verdict"]["verdict"] == "passed"
    assert all(0 < worker["clock_error_ms"] < 5000 for worker in done.summary["workers"])


def test_a_connection_that_breaks_in_the_middle_loses_nothing(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    with SlowWay(port, delay_s=0.0, bytes_per_s=10**9) as way, workers(tmp_path, way.port, 1):
        loading = InBackground(tmp_path, port, 1, [get("/ok")], host=target.url, user_count=4, iterations=400, wait_time=0.01)
        for hits in (200, 600, 1000):
            wait_for("hits", lambda hits=hits: received(target) > hits, 60)
            way.cut()
        done = loading.done
    assert done.error is None
    assert done.summary["totals"]["requests"] == received(target) == 1600


def test_a_worker_serves_run_after_run(target: Target, tmp_path: Path, port: int) -> None:
    target.reset()
    with workers(tmp_path, port, 1, "--processes", "2") as (machine,):
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
    process = subprocess.Popen([sys.executable, "-c", text], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    done = master(tmp_path, port, 1, [get("/ok")], host=target.url, user_count=2, iterations=5)
    said, _ = process.communicate(timeout=60)
    assert target.counts() == {"/ok": 10}
    assert json.loads(said) == {"runner_mode": "worker", "master": f"127.0.0.1:{port}", "run": done.run.facts.id, "hits": 10}
