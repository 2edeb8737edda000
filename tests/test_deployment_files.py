"""What runs loadflow elsewhere: the files in deployments/ say what they mean to say. No container is started."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.utilities.schema_tools.validation import validate
from prefect.workers.base import BaseJobConfiguration

from loadflow.cli import COMMANDS
from loadflow.cli.variables import parse_assignment
from loadflow.engine.exporters.prometheus import prometheus
from loadflow.engine.load.made_of import IMAGE_VARIABLE
from tests.services import need

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


def test_the_job_variables_of_the_docs_are_taken_by_the_templates() -> None:
    """As `loadflow deploy --job-variable` reads them: `cpu=2` is a number."""
    text = (FOLDER.parent / "docs" / "work-pools.md").read_text(encoding="utf-8")
    for kind, name in (("docker", "docker-load"), ("kubernetes", "k8s-load")):
        (line,) = re.findall(rf"^loadflow deploy --agent --pool {name} (.*(?:\\\n.*)?)$", text, re.MULTILINE)
        given = dict(parse_assignment(one) for one in re.findall(r"--job-variable (\S+)", line))
        assert given
        validate(given, pool(kind)["variables"], raise_on_error=True, preprocess=False, ignore_required=True)


def test_the_end_of_a_container_can_be_seen_by_the_worker() -> None:
    assert pool("docker")["variables"]["properties"]["auto_remove"]["default"] is False


@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
def test_who_is_asked_to_end_in_a_container_hears_of_it_and_is_not_run_again(kind: str) -> None:
    assert pool(kind)["variables"]["properties"]["env"]["default"]["PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"] == "relinquish"


NO_SERVER: Any = object()  # nothing in the templates has to be looked up
IMAGES: list[tuple[dict[str, Any], str]] = [
    ({}, "loadflow:latest"),
    ({"image": "registry.example/loadflow@sha256:12ab"}, "registry.example/loadflow@sha256:12ab"),
    ({"image": "registry.example/loadflow:2", "env": {"LOADFLOW_RUNS_DIR": "/other"}}, "registry.example/loadflow:2"),
]


@pytest.mark.parametrize("kind", ["docker", "kubernetes"])
@pytest.mark.parametrize(("given", "image"), IMAGES)
def test_a_run_in_a_container_knows_its_image(kind: str, given: dict[str, Any], image: str) -> None:
    """As the worker makes the job of a flow run, whatever a deployment says of image and environment."""
    made = asyncio.run(BaseJobConfiguration.from_template_and_values(pool(kind), given, client=NO_SERVER))
    assert made.env[IMAGE_VARIABLE] == image
    assert made.env["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "30"
    assert made.env["LOADFLOW_RUNS_DIR"] == given.get("env", {}).get("LOADFLOW_RUNS_DIR", "/runs")


def test_a_kubernetes_job_is_started_once_and_not_as_root() -> None:
    template = pool("kubernetes")
    assert template["variables"]["properties"]["backoff_limit"]["default"] == 0
    spec = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["containers"][0]["securityContext"]["allowPrivilegeEscalation"] is False
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
    assert [line for line in lines if line.startswith("USER")] == ["USER 10001"]


def test_the_dashboard_asks_for_series_that_the_exporter_has() -> None:
    dashboard = json.loads((FOLDER / "grafana" / "dashboards" / "loadflow.json").read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked = {re.sub(r"_(bucket|sum|count)$", "", name) for query in queries for name in re.findall(r"loaddensity_\w+", query)}
    source = Path(prometheus.__file__).read_text(encoding="utf-8") + Path(FOLDER.parent / "docs" / "exporters.md").read_text(
        encoding="utf-8"
    )
    assert {name for name in asked if name not in source} == set()
    assert len(asked) >= 8


def rate_interval_s(panel: dict[str, Any], target: dict[str, Any], scrape_s: int | None) -> int:
    """What Grafana puts in place of $__rate_interval, of a data source that says `scrape_s`: it takes 15 s where it says nothing.

    https://grafana.com/docs/grafana/latest/datasources/prometheus/template-variables/: max($__interval + scrape, 4 × scrape), where
    a minimum step of the query stands for the scrape interval, and $__interval is the panel's minimum at least.
    """
    scrape = int(str(target.get("interval", "")).removesuffix("s") or scrape_s or 15)
    return max(int(panel["interval"].removesuffix("s")) + scrape, 4 * scrape)


@pytest.mark.parametrize(("scrape_s", "said_s"), [(5, 5), (15, 15), (15, None), (30, 30), (30, None), (60, 60)])
def test_no_panel_is_empty_at_any_scrape_interval(scrape_s: int, said_s: int | None, tmp_path: Path) -> None:
    need(shutil.which("promtool"), "promtool is not installed (Debian: apt-get install prometheus)")
    dashboard = json.loads((FOLDER / "grafana" / "dashboards" / "loadflow.json").read_text(encoding="utf-8"))
    asked = [
        target["expr"]
        .replace("$__rate_interval", f"{rate_interval_s(panel, target, said_s)}s")
        .replace("$scenario", "s")
        .replace("$target", "t")
        for panel in dashboard["panels"]
        for target in panel["targets"]
    ]
    more = {"_bucket": ['outcome="success",le="10"', 'outcome="success",le="+Inf"'], "_total": ['outcome="success"', 'outcome="failure"']}
    series = [
        {"series": f'{name}{{{labels},name="n",scenario="s",target="t"}}', "values": "0+1500x20"}
        for name in sorted({name for query in asked for name in re.findall(r"loaddensity_\w+", query)})
        for labels in next((found for end, found in more.items() if name.endswith(end)), ['outcome="success"'])
    ]
    tests = [
        {"expr": f"clamp_max(count({query}), 1)", "eval_time": f"{12 * scrape_s + late}s", "exp_samples": [{"labels": "{}", "value": 1}]}
        for query in asked
        for late in (0, 1, scrape_s - 1)
    ]
    one = {"interval": f"{scrape_s}s", "input_series": series, "promql_expr_test": tests}
    file = tmp_path / "dashboard.yml"
    file.write_text(yaml.safe_dump({"rule_files": [], "evaluation_interval": f"{scrape_s}s", "tests": [one]}), encoding="utf-8")
    done = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_data_source_knows_how_often_prometheus_scrapes() -> None:
    """Or $__rate_interval would be too short, and every panel empty."""
    source = yaml.safe_load(next((FOLDER / "grafana" / "provisioning" / "datasources").iterdir()).read_text(encoding="utf-8"))
    scrapes = yaml.safe_load((FOLDER / "prometheus.yaml").read_text(encoding="utf-8"))
    assert source["datasources"][0]["jsonData"]["timeInterval"] == scrapes["global"]["scrape_interval"]
