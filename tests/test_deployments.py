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

ROOT = Path(__file__).resolve().parents[1]
FILE = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))


def test_there_is_a_nightly_and_an_ad_hoc_deployment() -> None:
    assert [deployment["name"] for deployment in FILE["deployments"]] == ["nightly", "ad-hoc"]
    nightly, ad_hoc = FILE["deployments"]
    assert (ROOT / nightly["parameters"]["script_path"]).is_file()
    assert ad_hoc["schedules"] == []


@pytest.mark.parametrize("deployment", FILE["deployments"], ids=lambda deployment: deployment["name"])
def test_its_entrypoint_is_a_flow_that_takes_its_parameters(deployment: dict[str, Any]) -> None:
    module, _, name = deployment["entrypoint"].partition(":")
    flow = getattr(importlib.import_module(module), name)
    assert isinstance(flow, Flow)
    flow.validate_parameters(deployment["parameters"])
    assert set(deployment["parameters"]) <= set(flow.parameters.properties)
    assert deployment["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}
    assert deployment["work_pool"]["name"]


def test_the_schedule_is_one() -> None:
    (schedule,) = FILE["deployments"][0]["schedules"]
    CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"])
    ZoneInfo(schedule["timezone"])
    assert schedule["active"] is True


def test_prefect_itself_takes_the_file() -> None:
    PrefectYamlModel.model_validate(FILE)
