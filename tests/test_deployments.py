"""prefect.yaml at the top: it parses, its entrypoints are there, and its schedules mean something."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from prefect import Flow
from prefect.cli.deploy._models import PrefectYamlModel  # what `prefect deploy` itself reads the file with
from prefect.client.schemas.schedules import CronSchedule

from loadflow.flows.agent_run import AGENT_FLOW
from loadflow.flows.run_events import SUSPECT
from tests.ends.processes import PrefectServer
from tests.waiting import HANG_S

ROOT = Path(__file__).resolve().parents[1]
FILE = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))


def test_there_is_a_nightly_and_an_ad_hoc_deployment() -> None:
    nightly, duet, ad_hoc, after_deploy, agents = FILE["deployments"]
    assert [one["name"] for one in (nightly, duet, ad_hoc, after_deploy)] == ["nightly", "duet", "ad-hoc", "smoke-after-deploy"]
    assert agents["name"] == agents["work_pool"]["name"]  # runs find the agents of a pool by this name
    for deployment in (nightly, duet):
        assert (ROOT / deployment["parameters"]["script_path"]).is_file()
    (trigger,) = duet["triggers"]
    assert trigger["expect"] == [SUSPECT]
    assert set(trigger["parameters"]["variables"]) == set(duet["parameters"]["variables"])
    assert ad_hoc["schedules"] == []


@pytest.mark.parametrize("deployment", FILE["deployments"], ids=lambda deployment: deployment["name"])
def test_its_entrypoint_is_a_flow_that_takes_its_parameters(deployment: dict[str, Any]) -> None:
    module, _, name = deployment["entrypoint"].partition(":")
    flow = getattr(importlib.import_module(module), name)
    assert isinstance(flow, Flow)
    assert set(deployment["parameters"]) <= set(flow.parameters.properties)
    if flow.name == AGENT_FLOW:  # a run starts many of it, and gives them what they need
        assert "concurrency_limit" not in deployment
    else:
        flow.validate_parameters(deployment["parameters"])
        assert deployment["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}
    assert deployment["work_pool"]["name"]


def test_the_schedule_is_one() -> None:
    (schedule,) = FILE["deployments"][0]["schedules"]
    CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"])
    ZoneInfo(schedule["timezone"])
    assert schedule["active"] is True


def test_prefect_itself_takes_the_file() -> None:
    PrefectYamlModel.model_validate(FILE)


@pytest.mark.processes
@pytest.mark.prefect
@pytest.mark.timeout(600)
def test_prefect_deploy_takes_it_and_the_form_knows_the_parameters(tmp_path: Path) -> None:
    """Against a real server: a FastAPI that Prefect can't work with starts, and refuses only here."""
    shutil.copy(ROOT / "prefect.yaml", tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    server = PrefectServer(home)
    try:
        prefect = [sys.executable, "-m", "prefect", "--no-prompt"]
        for arguments in (["work-pool", "create", "--type", "process", "load"], ["deploy", "--all"]):
            done = subprocess.run(
                [*prefect, *arguments], cwd=tmp_path, env=server.env({}), capture_output=True, text=True, timeout=HANG_S, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
        nightly = server.ask("GET", "/deployments/name/loadflow/nightly")
        assert nightly["entrypoint"] == "loadflow.flows.run_script:run_script"
        assert [(one["schedule"]["cron"], one["active"]) for one in nightly["schedules"]] == [("0 2 * * *", True)]
        assert server.ask("GET", "/deployments/name/loadflow-agent/load")["work_pool_name"] == "load"
        ad_hoc = server.ask("GET", "/deployments/name/loadflow/ad-hoc")
        form = ad_hoc["parameter_openapi_schema"]["properties"]
        assert {"script", "script_path", "variables", "label"} <= set(form)
        assert all(form[name].get("description") for name in ("script", "script_path", "variables"))
    finally:
        server.stop()
