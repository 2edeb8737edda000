"""prefect.yaml as a team uses it: deployed to a server, on SQLite and PostgreSQL, run by its schedule, by hand, and through a restart."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.base.verdict import VerdictKind
from loadflow.flows.lease import lease_name
from tests.ends.deploying import deploy, project_file, python
from tests.ends.processes import PrefectServer, Stage, stage, wait_for
from tests.services import PostgreSQL
from tests.targets.fixture import Target

pytestmark = [pytest.mark.processes, pytest.mark.prefect, pytest.mark.timeout(700)]

# runs of a schedule are made once a minute otherwise
SETTINGS = {"PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "1"}
RUN_WITHIN_S = 240.0  # until a test gives up: a busy machine takes a minute for what is a matter of seconds


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    database = PostgreSQL() if request.param == "postgresql" else None
    settings = dict(SETTINGS)
    if database is None:  # the other server keeps its leases in memory, as Prefect's default is
        settings["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"] = "prefect.server.concurrency.lease_storage.filesystem"
    if database is not None:
        settings["PREFECT_API_DATABASE_CONNECTION_URL"] = database.url().replace("postgresql://", "postgresql+asyncpg://")
    made = PrefectServer(tmp_path_factory.mktemp("deployed"), settings)
    yield made
    made.stop()
    if database is not None:
        database.close()


def deploy_script(on: Stage, script: list[Any]) -> None:
    """The project's own file, with its schedule every 5 s, and a script of the test's."""
    (on.folder / "script.json").write_text(json.dumps(script))
    document = project_file()
    for deployment in document["deployments"]:
        deployment["parameters"] = {**deployment["parameters"], "script_path": str(on.folder / "script.json")}
    document["deployments"][0]["schedules"] = [{"interval": 5, "active": True}]
    deploy(on, document)


def runs_of(server: PrefectServer, deployment: str) -> list[Mapping[str, Any]]:
    asked = {"deployments": {"name": {"any_": [deployment]}}, "sort": "START_TIME_ASC"}
    found: list[Mapping[str, Any]] = server.ask("POST", "/flow_runs/filter", asked)
    return found


def test_a_scheduled_run_and_one_by_hand_with_other_parameters(server: PrefectServer, target: Target, tmp_path: Path) -> None:
    target.reset()
    with stage(server, target, tmp_path, f"pool-{os.getpid()}") as on:
        deploy_script(on, on.script(test_time=1))
        on.start_worker(on.name)

        def scheduled(*states: str) -> Mapping[str, Any] | None:
            return next((run for run in runs_of(server, "nightly") if run["state"]["type"] in states), None)

        wait_for("a scheduled run that begins", lambda: scheduled("PENDING", "RUNNING", "COMPLETED"), RUN_WITHIN_S)
        # one is enough: where a run takes longer than its schedule leaves, those to come would hold the target against the one by hand
        pause = server.ask("GET", "/deployments/name/loadflow/nightly")["id"]
        server.ask("PATCH", f"/deployments/{pause}", {"paused": True})
        run = wait_for("a scheduled run that is over", lambda: scheduled("COMPLETED"), RUN_WITHIN_S)
        assert run["auto_scheduled"] is True
        assert on.arrivals_ns()

        other = {"script": on.script(tasks=[{"method": "get", "request_url": f"{target.url}/ok?by-hand"}], test_time=1)}
        ad_hoc = server.ask("GET", "/deployments/name/loadflow/ad-hoc")["id"]
        by_hand = server.start_run(ad_hoc, {**other, "script_path": None, "label": "by hand", "wait_for_target": RUN_WITHIN_S})
        state = on.state("Completed", "Failed", "Error", "Crashed", run_id=by_hand, within_s=RUN_WITHIN_S)
        assert state["name"] == "Completed", state
        assert [record for record in target.records("/ok") if record.target.endswith("?by-hand")]


def test_a_server_that_restarts_in_the_middle_neither_ends_nor_loses_the_run(server: PrefectServer, target: Target, tmp_path: Path) -> None:
    target.reset()
    with stage(server, target, tmp_path, f"restart-{os.getpid()}") as on:
        python(on, "-m", "loadflow", "automations", "apply")
        deployment = server.deployment(on.name)
        run_id = server.start_run(deployment, {"script": on.script(test_time=25), "label": "restart"})
        on.start_worker(on.name)
        on.wait_for_load()
        server.kill()
        before = len(on.arrivals_ns())
        on.wait_for_load(before + 60)  # nobody answers now, and the load goes on
        server.start()
        state = on.state("Completed", "Failed", "Error", "Crashed", run_id=run_id, within_s=RUN_WITHIN_S)
        assert state["name"] == "Completed", state
        summary = on.run().summary()
        assert summary.verdict.kind is VerdictKind.PASSED
        assert summary.overall.count == len(on.arrivals_ns())
        # the target is free again, also where the server kept the lease in memory and forgot it
        limit = server.ask("GET", f"/v2/concurrency_limits/{lease_name(target.url)}")
        assert limit["active_slots"] == 0
        assert [one for one in server.ask("POST", "/variables/filter", {}) if one["name"].startswith("loadflow_slot_")] == []
