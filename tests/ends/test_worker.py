"""Ends of a flow run that a worker started, in a process work pool: cancelled by the API, and the worker lost in both ways."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from loadflow.engine.base.verdict import VerdictKind
from tests.ends.processes import Stage

pytestmark = [pytest.mark.processes, pytest.mark.prefect]

STILL_S = 5.0


def start(stage: Stage) -> tuple[subprocess.Popen[bytes], str]:
    """A worker of its own pool, and the id of its run, once there is load."""
    deployment = stage.server.deployment(stage.name)
    run_id = stage.server.start_run(deployment, {"script": stage.script(), "label": "worker", "exclusive": False})
    worker = stage.start_worker(stage.name)
    stage.wait_for_load()
    return worker, run_id


def check_end(stage: Stage, ended_ns: int) -> None:
    stage.no_engine(within_s=STILL_S)
    assert max(stage.arrivals_ns()) < ended_ns + STILL_S * 1e9
    summary = stage.run().summary()
    assert summary.verdict.kind is VerdictKind.INTERRUPTED
    assert summary.overall.count > 0


def test_a_run_that_is_cancelled_by_the_api_sends_nothing_more_and_is_cancelled(on_stage: Stage) -> None:
    _, run_id = start(on_stage)
    ended_ns = time.monotonic_ns()
    on_stage.server.set_state(run_id, "CANCELLING")
    check_end(on_stage, ended_ns)
    on_stage.state("Cancelled", run_id=run_id)


def test_a_worker_that_is_terminated_takes_its_load_with_it(on_stage: Stage) -> None:
    worker, run_id = start(on_stage)
    ended_ns = time.monotonic_ns()
    worker.terminate()
    check_end(on_stage, ended_ns)
    worker.wait(timeout=30)
    # the worker kills its flow processes and tells nobody: missing heartbeats do, by the zombie automation
    assert on_stage.state("Running", run_id=run_id)


@pytest.mark.long
def test_a_run_whose_worker_was_killed_goes_on_and_can_still_be_cancelled(on_stage: Stage) -> None:
    worker, run_id = start(on_stage)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    before = len(on_stage.arrivals_ns())
    on_stage.wait_for_load(before + 40)
    ended_ns = time.monotonic_ns()
    on_stage.server.set_state(run_id, "CANCELLING")
    check_end(on_stage, ended_ns)
    on_stage.state("Cancelled", run_id=run_id)


def test_a_run_whose_worker_was_killed_keeps_its_verdict_its_artifacts_and_its_later_actions(on_stage: Stage) -> None:
    """Its log lines go into a pipe that nobody reads any more."""
    deployment = on_stage.server.deployment(on_stage.name)
    script = [on_stage.script(test_time=8)[0], ["LD_generate_summary_report", {"report_name": "after"}]]
    parameters = {"script": script, "label": on_stage.name, "report_dir": str(on_stage.folder)}
    run_id = on_stage.server.start_run(deployment, parameters)
    worker = on_stage.start_worker(on_stage.name)
    on_stage.wait_for_load(20)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    state = on_stage.state("Completed", "Failed", "Error", "Crashed", run_id=run_id, within_s=120)
    assert state["name"] == "Completed", state
    assert on_stage.run().summary().verdict.kind is VerdictKind.PASSED
    assert list(on_stage.folder.glob("after*"))
    kinds = {one["type"] for one in on_stage.server.ask("POST", "/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run_id]}}})}
    assert {"markdown", "progress"} <= kinds
