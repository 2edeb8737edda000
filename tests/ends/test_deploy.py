"""`loadflow deploy` on a real server: a form that the API and the flow hold to, and scripts that reach the worker in four ways."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.ends.deploying import POOL, loadflow, python
from tests.ends.processes import Stage, stage
from tests.git_folders import pushed
from tests.prefect_servers import PrefectApi
from tests.targets.fixture import Target

pytestmark = [pytest.mark.processes, pytest.mark.prefect]
ENDED = ("Completed", "Failed", "Error", "Crashed", "Cancelled")
WITHIN_S = 240.0


def script_of(on: Stage) -> dict[str, Any]:
    """One short load; where it goes and how it is called are the variables."""
    test = on.script(test_time=1, user_count="${var.users}", host="${var.base}", thresholds=["failure_rate < 1%"])[0]
    test[1]["tasks"] = [{"name": "the page", "method": "get", "request_url": f"/ok?{on.name}-${{var.mode}}"}]
    variables = {
        "base": {"description": "Where the shop answers"},
        "users": {"default": 1, "min": 1, "max": 3},
        "mode": {"default": "small", "choices": ["small", "large"]},
    }
    return {"description": "One page.", "variables": variables, "load_density": [test]}


def create(server: PrefectApi, name: str, parameters: dict[str, Any], **more: Any) -> httpx.Response:
    deployment = server.ask("GET", f"/deployments/name/loadflow/{name}")["id"]
    body = {"parameters": parameters, "state": {"type": "SCHEDULED"}, **more}
    return server.answer("POST", f"/deployments/{deployment}/create_flow_run", body)


REFUSED = [
    ("an empty form", {}, "'base' is a required property"),
    ("an empty field", {"base": ""}, "base"),
    ("a text for a number", {"base": "http://127.0.0.1", "users": "many"}, "users"),
    ("a number beyond its limit", {"base": "http://127.0.0.1", "users": 4}, "users"),
    ("none of the choices", {"base": "http://127.0.0.1", "mode": "huge"}, "mode"),
    ("an option that is none", {"base": "http://127.0.0.1", "advanced": {"lable": "x"}}, "lable"),
]


def test_the_form_of_a_deployed_script_holds_and_its_values_reach_the_target(server: PrefectApi, target: Target, tmp_path: Path) -> None:
    target.reset()
    with stage(server, target, tmp_path, f"form-{os.getpid()}") as on:
        (on.folder / "one-page.json").write_text(json.dumps(script_of(on)))
        python(on, "-m", "prefect", "work-pool", "create", "--type", "process", "--base-job-template", str(POOL), on.name)
        said = python(on, "-m", "loadflow", "deploy", "one-page.json", "--work-pool", on.name, "--tag", "nightly")
        assert f"deployed loadflow/one-page to the work pool {on.name}" in said
        assert "base (required), users (integer), mode (text), advanced" in said
        loadflow(
            on, "deploy", "one-page.json", "-p", on.name, "-n", "embedded", "--from", "embedded",
            "--var", f"base={target.url}", "--cron", "0 2 * * *", "--timezone", "Europe/Berlin", "--paused", "--param", "label=by itself",
        )  # fmt: skip
        for what, parameters, word in REFUSED:
            answer = create(server, "one-page", parameters)
            assert (answer.status_code, word in answer.text) == (409, True), (what, answer.text)

        made = server.ask("GET", "/deployments/name/loadflow/embedded")
        assert made["paused"] is True
        assert made["tags"] == ["loadflow"]
        assert made["schedules"][0]["schedule"] == {"cron": "0 2 * * *", "timezone": "Europe/Berlin", "day_or": True}
        server.ask("PATCH", f"/deployments/{made['id']}", {"paused": False})

        on.start_worker(on.name)
        given = {"base": target.url, "users": 2, "mode": "large"}
        by_form = create(server, "one-page", given).json()["id"]
        assert on.state(*ENDED, run_id=by_form, within_s=WITHIN_S)["name"] == "Completed", on.log("worker")
        assert server.ask("GET", f"/flow_runs/{by_form}")["name"] == "one-page"
        assert [one for one in target.records("/ok") if one.target.endswith(f"?{on.name}-large")]

        # whoever goes around the API's check meets the flow's own, in the words of `loadflow check`
        around = create(server, "one-page", {**given, "users": 9}, enforce_parameter_schema=False).json()["id"]
        state = on.state(*ENDED, run_id=around, within_s=WITHIN_S)
        assert state["name"] == "Error"
        assert "variables.users: the value that was given must be at most 3, not 9" in state["message"]

        # the file is gone: the deployment holds the script
        (on.folder / "one-page.json").unlink()
        quick = create(server, "embedded", {}).json()["id"]
        assert on.state(*ENDED, run_id=quick, within_s=WITHIN_S)["name"] == "Completed", on.log("worker")
        assert server.ask("GET", f"/flow_runs/{quick}")["name"] == "by itself"
        assert [one for one in target.records("/ok") if one.target.endswith(f"?{on.name}-small")]


@pytest.mark.long
def test_a_script_of_a_repository_is_cloned_for_the_run_also_by_a_pull_step_of_the_projects_own(
    server: PrefectApi, target: Target, tmp_path: Path
) -> None:
    with stage(server, target, tmp_path, f"clone-{os.getpid()}") as on:
        python(on, "-m", "prefect", "work-pool", "create", "--type", "process", "--base-job-template", str(POOL), on.name)
        on.start_worker(on.name)
        clone = pushed(on.folder / "remote.git", on.folder / "clone", {"loads/cloned.json": json.dumps(script_of(on))})
        shared = ("-p", on.name, "--var", f"base={target.url}")
        said = loadflow(on, "deploy", "loads/cloned.json", *shared, "--var", "mode=large", "--from", "git", folder=clone)
        assert f"from {on.folder / 'remote.git'}, branch main" in said
        pull = [{"prefect.deployments.steps.git_clone": {"repository": str(on.folder / "remote.git"), "branch": "main"}}]
        (clone / "prefect.yaml").write_text(yaml.safe_dump({"pull": pull}))
        loadflow(on, "deploy", "loads/cloned.json", *shared, "-n", "pulled", folder=clone)
        shutil.rmtree(clone)
        target.reset()
        for name, mode in (("cloned", "large"), ("pulled", "small")):
            run = create(server, name, {}).json()["id"]
            assert on.state(*ENDED, run_id=run, within_s=WITHIN_S)["name"] == "Completed", on.log("worker")
            assert [one for one in target.records("/ok") if one.target.endswith(f"?{on.name}-{mode}")]
