"""Only the engine's own process may know gevent and Locust: in the orchestrating one they would break Prefect's event loop."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_HOME

from tests.targets.fixture import Target
from tests.waiting import HANG_S
from tests.warm.asked import MAY_BEGIN_WARM  # with more imported than it needs, and neither of the two

ROOT = Path(__file__).resolve().parents[2]

PREFECT_FREE = """
import sys
import loadflow
loadflow.execute_action([["len", ["four"]]])
assert "prefect" not in sys.modules
loadflow.start_test, loadflow.start_prometheus_exporter
for name in ("prometheus_client", "influxdb_client", "opentelemetry.sdk", "grpc"):
    assert name not in sys.modules, name
"""

WHOLE = (
    MAY_BEGIN_WARM
    + """
import sys
import loadflow
from loadflow import compile_script, run_script
test = {"user_detail_dict": {"user": "fast_http_user"}, "user_count": 2, "spawn_rate": 2, "test_time": 2, "wait_time": 0.05}
test["tasks"] = [{"method": "get", "request_url": sys.argv[1]}]
script = [
    ["len", ["four"]], ["LD_start_test", test], ["LD_execute_action", [[["max", [1, 2]]]]],
    ["LD_summary"], ["LD_generate_html"], ["LD_generate_html_report"], ["LD_generate_summary_report"],
]
results = compile_script(script, name="whole")()
assert results.results[1].value["totals"]["requests"] > 10
assert run_script(script=[["len", ["four"]]]).ok
for name in ("gevent", "locust", "geventhttpclient"):
    assert name not in sys.modules, name
"""
)


def run(code: str, *arguments: str, env: dict[str, str]) -> None:
    whole = {**os.environ, "PYTHONPATH": str(ROOT), "PREFECT_LOGGING_TO_API_ENABLED": "false", **env}
    done = subprocess.run([sys.executable, "-c", code, *arguments], env=whole, capture_output=True, text=True, timeout=HANG_S)
    assert done.returncode == 0, done.stderr


def test_using_loadflow_without_flows_imports_neither_prefect_nor_what_exporters_need() -> None:
    run(PREFECT_FREE, env={})


@pytest.mark.prefect
@pytest.mark.processes
@pytest.mark.usefixtures("prefect_server")
def test_a_flow_with_real_load_and_every_report_imports_neither_gevent_nor_locust(target: Target) -> None:
    target.reset()
    api = {
        "PREFECT_API_URL": str(PREFECT_API_URL.value()),
        "PREFECT_HOME": str(PREFECT_HOME.value()),
        "PREFECT_LOGGING_TO_API_ENABLED": "false",
    }
    run(WHOLE, f"{target.url}/ok", env=api)
    assert target.counts()["/ok"] > 10
