"""A run that died without a word, with its worker: the shipped automation ends it, and the deployment's slot is free again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.ends.processes import Stage

pytestmark = [pytest.mark.processes, pytest.mark.prefect, pytest.mark.timeout(600)]

CRASHED_WITHIN_S = 170.0  # 95 s of silence, and what a busy machine adds


def test_a_run_that_is_gone_without_a_word_is_crashed_and_the_next_one_starts(on_stage: Stage) -> None:
    stage = on_stage
    done = subprocess.run(
        [sys.executable, "-m", "loadflow", "automations", "apply", "--pause-after", "50"],
        env=stage.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["loadflow-zombies", "loadflow-pause-after-failures"]
    deployment = stage.server.deployment(stage.name)
    run_id = stage.server.start_run(deployment, {"script": stage.script(), "label": "first", "exclusive": False})
    worker = stage.start_worker(stage.name)
    stage.wait_for_load()
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    killed_ns = time.monotonic_ns()
    for process in stage.processes("prefect"):
        process.kill()
    stage.no_engine(within_s=5)
    assert max(stage.arrivals_ns()) < killed_ns + 5e9
    crashed = stage.state("Crashed", run_id=run_id, within_s=CRASHED_WITHIN_S, every_s=3.0)
    assert "no heartbeat of the run for 95 s" in crashed["message"]
    before = len(stage.arrivals_ns())
    next_id = stage.server.start_run(deployment, {"script": stage.script(test_time=1), "label": "second", "exclusive": False})
    stage.start_worker(stage.name)
    stage.state("Completed", run_id=next_id, within_s=60)
    assert len(stage.arrivals_ns()) > before
