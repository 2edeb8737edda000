"""Parts of a load in Prefect: cells of a campaign are task runs, conditions ask variables and automations, evidence says who started it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.variables import Variable

from loadflow.engine.records.evidence import EVIDENCE
from loadflow.engine.records.runs_dir import runs_below
from loadflow.flows.asking import ask_prefect
from loadflow.flows.run_script import run_script
from tests.flows.stored import stored_of
from tests.targets.fixture import Target

pytestmark = pytest.mark.usefixtures("prefect_server")


def test_of(target: Target, **more: Any) -> dict[str, Any]:
    step = {"name": "page", "method": "get", "request_url": f"{target.url}${{var.page}}"}
    return {
        "user_detail_dict": {"user": "fast_http_user"},
        "user_count": 1,
        "iterations": 2,
        "variables": {"page": "/ok"},
        "tasks": [{**step, "assertions": [{"type": "status_code", "value": 200}]}],
        **more,
    }


test_of.__test__ = False  # type: ignore[attr-defined]


def test_each_cell_is_a_task_run_whose_state_is_its_verdict(
    target: Target, tmp_path: Path, task_runs: Callable[[Any, int], list[Any]]
) -> None:
    asked = {"test": test_of(target), "variables": {"page": ["/ok", "/missing"]}, "label": "pages"}
    state = run_script(script=[["LD_campaign", asked]], runs_dir=str(tmp_path / "runs"), return_state=True)
    assert state.is_completed(), "cells decide nothing but themselves"
    found = {one.name: one.state_name for one in task_runs(state.state_details.flow_run_id, 3)}
    assert {name: word for name, word in found.items() if name.startswith("page=")} == {"page=/ok": "Passed", "page=/missing": "Failed"}
    assert "2 cells: 1 passed, 1 failed." in str(stored_of(state)["loadflow-pages-campaign"].data)


def test_a_variable_of_prefect_holds_a_load_back(target: Target, tmp_path: Path) -> None:
    def ran(only_if: list[dict[str, Any]]) -> Any:
        script = [["LD_start_test", test_of(target)]]
        return run_script(script=script, runs_dir=str(tmp_path / "runs"), only_if=only_if, return_state=True)

    Variable.set("load_allowed", "yes", overwrite=True)
    allowed = [{"variable": "load_allowed", "is": "yes"}]
    assert ran(allowed).is_completed()
    Variable.set("load_allowed", "no", overwrite=True)
    state = ran(allowed)
    assert (state.name, state.type.value) == ("Skipped", "CANCELLED")
    assert "the Prefect variable load_allowed is 'yes': it is 'no'; nothing was sent" in state.message
    (run,) = runs_below(tmp_path / "runs")
    by = json.loads((run / EVIDENCE).read_text())["made_of"]["by"]
    assert by["prefect"]["flow_run"]
    assert by["user"]
    assert "only_if[0]: says no condition" in ran([{}]).message


def test_what_prefect_does_not_have_is_told() -> None:
    for kind in ("variable", "automation"):
        with pytest.raises(LookupError, match=f"Prefect has no {kind} of this name"):
            ask_prefect(kind, "nobody")
    with get_client(sync_client=True) as client:
        trigger = {"type": "event", "match": {}, "posture": "Reactive", "threshold": 1, "within": 0}
        automation = {"name": "own", "enabled": True, "trigger": trigger, "actions": [{"type": "do-nothing"}]}
        made = client.request("POST", "/automations/", json=automation).json()
        assert ask_prefect("automation", "own") == []
        client.request("PATCH", "/automations/{id}", path_params={"id": made["id"]}, json={"enabled": False})
        assert ask_prefect("automation", "own") == ask_prefect("automation", "o?n") == ["own"]
        assert "own" in ask_prefect("automation", "*")  # type: ignore[operator]
