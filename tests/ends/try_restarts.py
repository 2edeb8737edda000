"""Restarts the Prefect server, or kills the worker, in the middle of a load, ten times each, and says how each one ended.

Not a test of the suite: it takes a quarter of an hour. `make try-restarts` runs it; it ends with 1 if any of them went wrong.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from loadflow.engine.base.verdict import VerdictKind
from loadflow.flows.lease import lease_name
from tests.ends.deploying import python
from tests.ends.processes import Stage, stage
from tests.prefect_database import VARIABLE
from tests.prefect_servers import PrefectServer
from tests.targets.fixture import Target

FILES = {"PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem"}
Disturb = Callable[[Stage, "subprocess.Popen[bytes]"], None]
ENDED = ("Completed", "Inconclusive", "Failed", "Error", "Crashed", "Cancelled", "Interrupted")
# what a load is that was not disturbed; a busy machine makes it inconclusive ("generator-limited")
RIGHT = {VerdictKind.PASSED: "Completed", VerdictKind.INCONCLUSIVE: "Inconclusive"}
ENDED_WITHIN_S = 300.0


def restart_server(on: Stage, _: subprocess.Popen[bytes]) -> None:
    """While nobody answers, and after."""
    on.server.kill()
    on.wait_for_load(len(on.arrivals_ns()) + 60)
    on.server.start()


def kill_worker(_: Stage, worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    worker.wait()


def check(on: Stage, deployment: str, disturb: Disturb) -> None:
    """One run that is disturbed, and all that has to be so at its end; raises AssertionError."""
    on.target.reset()
    script = [on.script(test_time=15)[0], ["LD_generate_summary_report", {"report_name": "after"}]]
    run_id = on.server.start_run(deployment, {"script": script, "label": on.name, "report_dir": str(on.folder)})
    worker = on.start_worker(on.name)
    on.wait_for_load()
    disturb(on, worker)
    state = on.state(*ENDED, run_id=run_id, within_s=ENDED_WITHIN_S)
    names = [one["name"] for one in on.server.ask("GET", f"/flow_run_states/?flow_run_id={run_id}")]
    assert "Crashed" not in names, names
    summary = on.run().summary()
    assert state["name"] == RIGHT.get(summary.verdict.kind), (state, summary.verdict)
    assert summary.overall.count == len(on.arrivals_ns()), "hits that were sent are missing"
    assert list(on.folder.glob("after*")), "a later action did not run"
    kinds = {one["type"] for one in on.server.ask("POST", "/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run_id]}}})}
    assert {"markdown", "progress"} <= kinds, kinds
    limit = on.server.ask("GET", f"/v2/concurrency_limits/{lease_name(on.target.url)}")
    assert limit["active_slots"] == 0, limit
    assert not [one for one in on.server.ask("POST", "/variables/filter", {}) if one["name"].startswith("loadflow_slot_")]


KINDS: dict[str, Disturb] = {"server": restart_server, "worker": kill_worker}


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kind", choices=KINDS, action="append")
    options.add_argument("--times", type=int, default=10)
    asked = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what it started ends with it
    wrong = 0
    with tempfile.TemporaryDirectory() as folder, Target() as target:
        os.environ[VARIABLE] = folder
        for kind in asked.kind or KINDS:
            home = Path(folder, kind)
            home.mkdir()
            server = PrefectServer(home, FILES)
            try:
                wrong += sum(not _try(kind, number, server, target, home) for number in range(1, asked.times + 1))
            finally:
                server.stop()
    return min(wrong, 1)


def _try(kind: str, number: int, server: PrefectServer, target: Target, home: Path) -> bool:
    folder = home / f"{number}"
    folder.mkdir()
    with stage(server, target, folder, f"{kind}-{number}") as on:
        if number == 1:
            python(on, "-m", "loadflow", "automations", "apply")
        try:
            check(on, server.deployment(on.name), KINDS[kind])
        except AssertionError:
            print(f"{kind} {number}: WRONG", flush=True)
            traceback.print_exc()
            print(on.log("worker")[-4000:], file=sys.stderr, flush=True)
            return False
    print(f"{kind} {number}: as it should be", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
