"""One coordinator of fifty agents."""

from __future__ import annotations

import subprocess
from pathlib import Path

from loadflow.engine.records.histogram import Histogram
from tests.fleet.machines import master
from tests.fleet.simulated import STEP_S, command
from tests.load.harness import get
from tests.waiting import HANG_S

AGENTS, ROWS_PER_S, SECONDS = 50, 20_000, 3


def test_every_row_of_fifty_agents_is_there_and_what_is_merged_is_that_of_all_rows(tmp_path: Path, port: int) -> None:
    """Their shares merged give the very histogram of all rows, so that a percentile is not one of percentiles."""
    agents = subprocess.Popen(command(port, AGENTS, ROWS_PER_S, SECONDS))
    try:
        load = {"user": "native", "host": "http://127.0.0.1:1", "user_count": AGENTS, "iterations": None, "test_time": SECONDS}
        done = master(tmp_path, port, AGENTS, [get("/simulated")], **load)
        assert agents.wait(timeout=HANG_S) == 0
    finally:
        agents.kill()
        agents.wait()
    assert done.error is None
    each = round(ROWS_PER_S / AGENTS * STEP_S) * round(SECONDS / STEP_S)
    assert [worker["hits"] for worker in done.summary["workers"]] == [each] * AGENTS
    assert {worker["state"] for worker in done.summary["workers"]} == {"finished"}
    assert done.summary["totals"]["requests"] == len(done.rows) == AGENTS * each
    of_all = Histogram()
    of_all.add(done.rows["end_ns"].astype("int64") - done.rows["start_ns"].astype("int64"))
    assert done.run.totals().overall().response().to_json() == of_all.to_json()
