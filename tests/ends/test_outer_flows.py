"""A flow above a load is cancelled: the load ends, whether it is a subflow in one process or a run of a worker's."""

from __future__ import annotations

import json
import sys
import time

import pytest

from loadflow.engine.base.verdict import VerdictKind
from tests.ends.outer_flow import WAYS
from tests.ends.processes import Stage
from tests.prefect_servers import ASK_S
from tests.waiting import wait_for

pytestmark = [pytest.mark.processes, pytest.mark.prefect, pytest.mark.timeout(400)]

STILL_S = 5.0


@pytest.mark.parametrize("way", [*WAYS[:2], pytest.param(WAYS[2], marks=pytest.mark.long)])
def test_a_cancel_of_the_root_silences_the_load_below(on_stage: Stage, way: str) -> None:
    path = on_stage.folder / "script.json"
    path.write_text(json.dumps(on_stage.script()))
    if way != "subflow":
        on_stage.server.deployment(on_stage.name)
        on_stage.start_worker(on_stage.name)
    on_stage.start("outer", [sys.executable, "-m", "tests.ends.outer_flow", way, str(path), on_stage.name])
    on_stage.wait_for_load()
    root = wait_for("the outer flow run", lambda: on_stage.server.flow_run(name=f"{on_stage.name}-outer"), 30, every_s=ASK_S)
    ended_ns = time.monotonic_ns()
    on_stage.server.set_state(root["id"], "CANCELLING")
    on_stage.no_engine(within_s=2 * STILL_S)
    assert max(on_stage.arrivals_ns()) < ended_ns + STILL_S * 1e9
    summary = on_stage.run().summary()
    assert summary.verdict.kind is VerdictKind.INTERRUPTED
    assert summary.overall.count > 0
    load = on_stage.state("Cancelled", run_id=on_stage.run().facts.flow_run_ids[-1], within_s=60)
    assert "the flow run above this one is cancel" in load["message"]
