"""Populations as a flow: each is a load with a page of its own, together they are the state and the result of the task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loadflow import loads_of, results_of, run_script
from tests.flows.stored import stored_of
from tests.load.harness import get
from tests.targets.fixture import Target

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]
QUICK = {"user_count": 1, "spawn_rate": 1000, "test_time": 60, "iterations": 3}


def script(target: Target, label: str, *, bad: bool = False) -> list[Any]:
    thresholds = {"thresholds": ["requests >= 1000"]} if bad else {}
    populations = [
        {"name": "browse", "tasks": [get("/ok", name="page")], **QUICK},
        {"name": "buy", "tasks": [get("/ok?buy", name="page")], **QUICK, **thresholds},
    ]
    test = {"label": label, "user_detail_dict": {"user": "fast_http_user"}, "host": target.url, "populations": populations}
    return [["LD_start_test", test], ["LD_persist_records", {"database_path": "runs.db"}], ["LD_generate_json_report", ["both"]]]


def test_each_has_its_page_and_its_rows_and_together_they_are_the_result(target: Target) -> None:
    target.reset()
    state: Any = run_script(script=script(target, "pops of a flow"), return_state=True)
    assert (state.type.value, state.name) == ("COMPLETED", "Completed"), state.message
    loads = loads_of(state)
    assert [(load.label, load.verdict, load.overall.count) for load in loads] == [
        ("pops of a flow: browse", "passed", 3),
        ("pops of a flow: buy", "passed", 3),
    ]
    whole = results_of(state).results[0].value
    assert whole["totals"]["requests"] == 6
    assert [one["totals"]["requests"] for one in whole["populations"].values()] == [3, 3]
    pages = stored_of(state)
    assert {"loadflow-pops-of-a-flow-browse", "loadflow-pops-of-a-flow-buy"} <= pages.keys()
    assert results_of(state).results[1].value == [1, 2], "a run of each is in the store"
    assert len(json.loads(Path("both_success.json").read_text())) == 6, "the report is of both"


def test_the_state_is_the_worst_verdict_and_says_whose_it_is(target: Target) -> None:
    state: Any = run_script(script=script(target, "pops that fail", bad=True), return_state=True)
    assert (state.type.value, state.name) == ("FAILED", "Failed")
    assert state.message == "failed: buy: requests >= 1000: observed 3 (3 samples)"
    pages = {key: str(page.data).splitlines()[0] for key, page in stored_of(state).items() if page.type == "markdown"}
    assert pages == {"loadflow-pops-that-fail-browse": "# ✓ Passed", "loadflow-pops-that-fail-buy": "# ✕ Failed"}
    assert [load.verdict for load in loads_of(state)] == ["passed", "failed"]
