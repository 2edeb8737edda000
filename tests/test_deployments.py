"""prefect.yaml at the top: it parses, its entrypoints are there, and its schedules mean something."""

from __future__ import annotations

import importlib
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
