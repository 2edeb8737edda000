"""What automations can match: the event of each end carries the verdict in its name and labels, also where nothing was sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prefect import flow

from loadflow.engine.base.verdict import Verdict, VerdictKind
from loadflow.flows import run_events, run_script
from loadflow.flows.automations import NAMES, NOTIFYING, automation
from loadflow.flows.lease import target_lease
from tests.builders import STARTED_UNIX_S, build_run, facts, make_rows
from tests.flows.commands import synthetic_run
from tests.flows.stored import stored_of
from tests.targets.fixture import Target

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]


@pytest.fixture
def emitted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Mapping[str, Any]]]:
    found: list[tuple[str, Mapping[str, Any]]] = []
    monkeypatch.setattr(run_events, "emit_event", lambda event, **more: found.append((event, more)))
    return found


def names(emitted: list[tuple[str, Mapping[str, Any]]]) -> list[str]:
    return [name for name, _ in emitted]


@pytest.mark.parametrize("kind", list(VerdictKind))
def test_each_verdict_has_an_event_of_its_own(tmp_path: Path, emitted: list[tuple[str, Mapping[str, Any]]], kind: VerdictKind) -> None:
    run = synthetic_run(tmp_path / "run")

    @flow(name="outer", flow_run_name="checkout by night")
    def outer() -> None:
        run_events.run_finished(run, replace(run.summary(), verdict=Verdict(kind)))

    outer()
    assert names(emitted) == ["loadflow.run.finished", f"loadflow.run.{kind}"]
    for _, more in emitted:
        assert more["resource"]["loadflow.verdict"] == more["payload"]["verdict"] == str(kind)
        assert more["resource"]["loadflow.script"] == run.facts.script
        (related,) = more["related"]
        assert (related["prefect.resource.role"], related["prefect.resource.name"]) == ("flow-run", "checkout by night")


def test_a_worse_night_is_an_event_and_a_page_of_its_label(tmp_path: Path, emitted: list[tuple[str, Mapping[str, Any]]]) -> None:
    """LD_judge in a flow: what the runs folder holds decides, whoever made it."""
    for number in range(13):
        rows = make_rows(300, seconds=12, failure_rate=0.0, steady=True, seed=number)
        took = (rows["end_ns"] - rows["start_ns"]) * (1.6 if number >= 10 else 1.0)
        rows["start_ns"] = rows["due_ns"] = np.maximum(rows["end_ns"] - took.astype(np.int64), 0)
        run_id = f"202609{number + 1:02}-000000-judged-{number:08}"
        about = facts(id=run_id, folder=str(tmp_path / run_id), label="judged", started_unix_s=STARTED_UNIX_S + number * 86_400)
        build_run(tmp_path / run_id, rows, run_facts=about)
    state = run_script(script=[["LD_judge", {"fail_on_worse": True}]], label="judged", runs_dir=str(tmp_path), return_state=True)
    assert state.is_failed()
    ((name, more),) = [one for one in emitted if not one[0].startswith("loadflow.run")]
    assert name == "loadflow.worse"
    assert more["payload"]["run"] == run_id
    assert more["payload"]["metric"] == "p95"
    assert more["payload"]["first_bad"]["run"].endswith("-00000010")
    page = stored_of(state)["loadflow-judged-history"]
    assert "first bad run" in str(page.data)
    assert "data:image/svg+xml;base64," in str(page.data)


def test_a_script_that_cannot_be_run_is_an_event(emitted: list[tuple[str, Mapping[str, Any]]]) -> None:
    run_script(script=[["LD_strat_test", {}]], label="typo", return_state=True)
    ((name, more),) = emitted
    assert (name, more["resource"]["prefect.resource.name"]) == ("loadflow.run.error", "typo")
    assert "LD_strat_test" in more["payload"]["reasons"][0]


def test_a_run_that_skips_itself_is_an_event(target: Target, emitted: list[tuple[str, Mapping[str, Any]]]) -> None:
    step = {"method": "get", "request_url": f"{target.url}/ok?skipped"}
    script = [["LD_start_test", {"user_detail_dict": {"user": "fast_http_user"}, "iterations": 1, "tasks": [step]}]]
    with target_lease()(target.url):
        run_script(script=script, return_state=True)
    assert names(emitted) == ["loadflow.run.skipped"]


@pytest.mark.parametrize("name", NAMES)
def test_prefect_takes_every_automation(name: str) -> None:
    made = automation(name, block_id="3f2b4c1e-0000-4000-8000-000000000000")
    assert made.name.startswith("loadflow-")
    if name in NOTIFYING:
        assert str(made.actions[0].block_document_id).startswith("3f2b4c1e")  # type: ignore[union-attr]
