"""What runs loadflow elsewhere: the files in deployments/ say what they mean to say. No container is started."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.schemas.actions import WorkPoolCreate

from loadflow.cli import COMMANDS
from loadflow.engine.exporters import prometheus

FOLDER = Path(__file__).resolve().parents[1] / "deployments"
POOLS = ("process", "docker", "kubernetes")


def pool(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "work-pools" / f"{kind}.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("kind", POOLS)
def test_prefect_takes_the_template_and_every_variable_in_it_is_one(kind: str) -> None:
    template = pool(kind)
    WorkPoolCreate(name="load", type=kind, base_job_template=template)
    used = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(template["job_configuration"])))
    assert used <= set(template["variables"]["properties"])


@pytest.mark.parametrize("kind", POOLS)
def test_runs_of_every_pool_have_the_heartbeat_of_the_zombie_automation(kind: str) -> None:
    assert pool(kind)["variables"]["properties"]["env"]["default"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "30"


def test_a_kubernetes_job_is_started_once_and_not_as_root() -> None:
    template = pool("kubernetes")
    assert template["variables"]["properties"]["backoff_limit"]["default"] == 0
    spec = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    assert spec["containers"][0]["securityContext"]["runAsNonRoot"] is True
    assert spec["restartPolicy"] == "Never"


def test_every_service_of_the_compose_file_has_what_it_needs() -> None:
    compose = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
    assert set(compose["services"]) == {"database", "server", "setup", "worker", "reports", "prometheus", "grafana"}
    for service in compose["services"].values():
        assert set(service.get("depends_on", {})) <= set(compose["services"])
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or (FOLDER / source).exists(), volume
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), port
    assert compose["services"]["reports"]["command"][1] in COMMANDS


def test_the_image_runs_as_a_user_of_its_own() -> None:
    lines = (FOLDER / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("USER")] == ["USER loadflow"]


def test_the_dashboard_asks_for_series_that_the_exporter_has() -> None:
    dashboard = json.loads((FOLDER / "grafana" / "dashboards" / "loadflow.json").read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked = {re.sub(r"_(bucket|sum|count)$", "", name) for query in queries for name in re.findall(r"loaddensity_\w+", query)}
    source = Path(prometheus.__file__).read_text(encoding="utf-8") + Path(FOLDER.parent / "docs" / "exporters.md").read_text(
        encoding="utf-8"
    )
    assert {name for name in asked if name not in source} == set()
    assert len(asked) >= 8
