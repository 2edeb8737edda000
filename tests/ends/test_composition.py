"""examples/composition on a server: the load by a deployment, and a deployment that another flow's event starts."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.ends.deploying import TOP, deploy, project_file, python
from tests.ends.processes import stage
from tests.prefect_servers import ASK_S, PrefectApi
from tests.targets.fixture import Target
from tests.targets.shop import access_rows, running_shop
from tests.waiting import wait_for

pytestmark = [pytest.mark.processes, pytest.mark.prefect]
COMPOSITION = TOP / "examples" / "composition"
RUN_WITHIN_S = 120.0


def ended(server: PrefectApi, name: str, **of: Any) -> list[Mapping[str, Any]]:
    """The runs of a deployment that are over."""
    final = {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CANCELLED", "CRASHED"]}}, **of}
    found: list[Mapping[str, Any]] = server.ask(
        "POST", "/flow_runs/filter", {"deployments": {"name": {"any_": [name]}}, "flow_runs": final}
    )
    return found


def deployment(name: str) -> dict[str, Any]:
    """The project's file with this deployment alone."""
    document = project_file()
    document["deployments"] = [one for one in document["deployments"] if one["name"] == name]
    return document


def test_an_event_of_another_flow_starts_the_smoke_test(own_automations: None, server: PrefectApi, target: Target, tmp_path: Path) -> None:
    """The event says where: the smoke test asks the shop's /health, at an address that stands in no file."""
    document = deployment("smoke-after-deploy")
    parameters = document["deployments"][0]["parameters"]
    parameters["script_path"] = str(TOP / parameters["script_path"])
    log = tmp_path / "access.csv"
    with stage(server, target, tmp_path, f"smoke-{os.getpid()}") as on, running_shop(log) as base:
        deploy(on, document)
        on.start_worker(on.name)
        python(on, str(COMPOSITION / "announce.py"), base)

        def by_our_event() -> Mapping[str, Any] | None:
            return next((run for run in ended(server, "smoke-after-deploy") if run["parameters"]["variables"] == {"base": base}), None)

        by_event = wait_for("the end of the smoke test", by_our_event, RUN_WITHIN_S, every_s=ASK_S)
        assert by_event["state"]["name"] == "Completed", by_event["state"]
    assert "/health" in {row["path"] for row in access_rows(log)}


@pytest.mark.long
def test_the_jobs_load_runs_on_a_worker(own_automations: None, server: PrefectApi, target: Target, tmp_path: Path) -> None:
    log = tmp_path / "access.csv"
    with stage(server, target, tmp_path, f"compose-{os.getpid()}") as on, running_shop(log) as base:
        deploy(on, deployment("ad-hoc"))
        on.start_worker(on.name)
        python(on, str(COMPOSITION / "by_deployment.py"), base, str(log), "2")
        job = server.flow_run(name="data-job-by-deployment")
        assert job is not None
        of_job = {"parent_flow_run_id": {"any_": [job["id"]]}}
        (load,) = wait_for("the end of the job's load", lambda: ended(server, "ad-hoc", **of_job), RUN_WITHIN_S, every_s=ASK_S)
        assert (job["state"]["name"], job["state"]["message"]) == ("Completed", load["state"]["message"])

    received = Counter("/products/{id}" if row["path"].startswith("/products/") else row["path"] for row in access_rows(log))
    (found,) = server.ask(
        "POST", "/artifacts/filter", {"artifacts": {"key": {"any_": ["client-and-server"]}, "flow_run_id": {"any_": [job["id"]]}}}
    )
    rows = json.loads(found["data"])
    for name, path in (("log in", "/login"), ("one product", "/products/{id}"), ("recommendations", "/recommendations")):
        of_name = [row for row in rows if row["name"] == name]
        assert received[path] > 0
        assert {sum(row[column] for row in of_name) for column in ("requests", "served")} == {received[path]}
