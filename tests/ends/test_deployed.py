"""prefect.yaml as a team uses it: deployed to a server, on SQLite and PostgreSQL, run by its schedule, by hand, and through a restart."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.base.verdict import VerdictKind
from loadflow.flows.lease import lease_name
from tests.ends.deploying import deploy, loadflow, project_file
from tests.ends.processes import Stage, stage
from tests.prefect_servers import ASK_S, PrefectServer
from tests.services import PostgreSQL
from tests.targets.fixture import Target
from tests.waiting import wait_for

pytestmark = [pytest.mark.processes, pytest.mark.prefect, pytest.mark.timeout(700)]

# runs of a schedule are made once a minute otherwise
SETTINGS = {"PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "1"}
RUN_WITHIN_S = 240.0  # until a test gives up: a busy machine takes a minute for what is a matter of seconds


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.long)], scope="module")
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


@pytest.fixture
def on(server: PrefectServer, target: Target, tmp_path: Path) -> Iterator[Stage]:
    """The project's own file, deployed with one more schedule, of every 5 s, and a script of the test's; its automations."""
    target.reset()
    with stage(server, target, tmp_path, f"deployed-{os.getpid()}") as made:
        (made.folder / "script.json").write_text(json.dumps(made.script(test_time=1)))
        document = project_file()
        for deployment in document["deployments"]:
            deployment["parameters"] = {**deployment["parameters"], "script_path": str(made.folder / "script.json")}
        document["deployments"][0]["schedules"].append({"interval": 5, "active": True})
        deploy(made, document)
        loadflow(made, "automations", "apply")
        yield made


def runs_of(server: PrefectServer, deployment: str) -> list[Mapping[str, Any]]:
    asked = {"deployments": {"name": {"any_": [deployment]}}, "sort": "START_TIME_ASC"}
    found: list[Mapping[str, Any]] = server.ask("POST", "/flow_runs/filter", asked)
    return found


def test_runs_by_the_schedule_and_by_hand_and_a_server_that_restarts_neither_ends_nor_loses_one(
    server: PrefectServer, on: Stage, target: Target
) -> None:
    check_deployments(server, on.name)
    on.start_worker(on.name)

    def scheduled(*states: str) -> Mapping[str, Any] | None:
        return next((run for run in runs_of(server, "nightly") if run["state"]["type"] in states), None)

    wait_for("a scheduled run that begins", lambda: scheduled("PENDING", "RUNNING", "COMPLETED"), RUN_WITHIN_S, every_s=ASK_S)
    # one is enough: where a run takes longer than its schedule leaves, those to come would hold the target against the one by hand
    pause = server.ask("GET", "/deployments/name/loadflow/nightly")["id"]
    server.ask("PATCH", f"/deployments/{pause}", {"paused": True})
    run = wait_for("a scheduled run that is over", lambda: scheduled("COMPLETED"), RUN_WITHIN_S, every_s=ASK_S)
    assert run["auto_scheduled"] is True
    assert on.arrivals_ns()

    by_hand = replace(on, name=f"{on.name}-by-hand")  # another script, and other parameters
    ad_hoc = server.ask("GET", "/deployments/name/loadflow/ad-hoc")["id"]
    given = {"script": by_hand.script(test_time=25), "script_path": None, "label": "by hand", "wait_for_target": RUN_WITHIN_S}
    run_id = server.start_run(ad_hoc, given)
    by_hand.wait_for_load()
    server.kill()
    by_hand.wait_for_load(len(by_hand.arrivals_ns()) + 60)  # nobody answers now, and the load goes on
    server.start(without=SETTINGS)
    state = by_hand.state("Completed", "Failed", "Error", "Crashed", run_id=run_id, within_s=RUN_WITHIN_S)
    assert state["name"] == "Completed", state
    (folder,) = on.runs_dir.glob("*-by-hand-*/")
    summary = by_hand.run(folder).summary()
    assert summary.verdict.kind is VerdictKind.PASSED
    assert summary.overall.count == len(by_hand.arrivals_ns())
    # the target is free again, also where the server kept the lease in memory and forgot it
    limit = server.ask("GET", f"/v2/concurrency_limits/{lease_name(target.url)}")
    assert limit["active_slots"] == 0
    assert [one for one in server.ask("POST", "/variables/filter", {}) if one["name"].startswith("loadflow_slot_")] == []


def check_deployments(server: PrefectServer, pool: str) -> None:
    """Against a real server: a FastAPI that Prefect can't work with starts, and refuses only here."""
    nightly = server.ask("GET", "/deployments/name/loadflow/nightly")
    assert nightly["entrypoint"] == "loadflow.flows.run_script:run_script"
    crons = [(one["schedule"]["cron"], one["active"]) for one in nightly["schedules"] if "cron" in one["schedule"]]
    assert crons == [("0 2 * * *", True)]
    assert server.ask("GET", "/deployments/name/loadflow-agent/load")["work_pool_name"] == pool
    ad_hoc = server.ask("GET", "/deployments/name/loadflow/ad-hoc")
    form = ad_hoc["parameter_openapi_schema"]["properties"]
    assert {"script", "script_path", "variables", "label"} <= set(form)
    assert all(form[name].get("description") for name in ("script", "script_path", "variables"))
