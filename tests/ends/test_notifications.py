"""Nothing is silent: a notification block of Prefect's is told of runs that did not pass, did not run, were crowded out, or are missing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.ends.deploying import python
from tests.ends.processes import Stage
from tests.targets.fixture import Target
from tests.waiting import wait_for

pytestmark = [pytest.mark.processes, pytest.mark.prefect]

BLOCK = """
from prefect.blocks.notifications import CustomWebhookNotificationBlock
form = {"subject": "{{subject}}", "body": "{{body}}"}
CustomWebhookNotificationBlock(name="ops", url="URL", method="POST", json_data=form).save("ops-NAME")
"""
TOLD_WITHIN_S = 120.0
MISSING_H = 10 / 3600  # the least that Prefect allows


def test_a_team_hears_of_all_that_did_not_go_as_planned(on_stage: Stage, target: Target) -> None:
    stage = on_stage
    python(stage, "-c", BLOCK.replace("URL", f"{target.url}/ok?told").replace("NAME", stage.name))
    block = f"custom-webhook/ops-{stage.name}"
    python(stage, "-m", "loadflow", "automations", "apply", "--notify", block, "--missing-after", str(MISSING_H))
    deployment = stage.server.deployment(stage.name)

    def subjects() -> list[str]:
        told = [one for one in target.records("/ok") if one.target.endswith("?told")]
        return [str(json.loads(one.body)["subject"]) for one in told]

    def hear(words: str) -> None:
        wait_for(f"a notification {words!r}", lambda: any(words in one for one in subjects()), TOLD_WITHIN_S)

    def run(*states: dict[str, Any]) -> str:
        made = stage.server.ask(
            "POST", f"/deployments/{deployment}/create_flow_run", {"tags": ["nightly"], "parameters": {"label": stage.name}}
        )
        for state in states:
            stage.server.ask("POST", f"/flow_runs/{made['id']}/set_state", {"state": state, "force": state["type"] != "PENDING"})
        return str(made["name"])

    first = run({"type": "PENDING", "name": "Pending"}, {"type": "RUNNING", "name": "Running"})
    second = run({"type": "PENDING", "name": "Pending"})
    hear(f"{second} did not run: another run of its deployment was not over")
    late = run({"type": "SCHEDULED", "name": "Late", "message": "nobody came"})
    hear(f"{late} did not run: Late")
    skipped = run({"type": "CANCELLED", "name": "Skipped", "message": "skipped: another load is on this target"})
    hear(f"{skipped} did not run: Skipped")
    refused = run({"type": "FAILED", "name": "Error", "message": "the script can't be run as written"})
    hear(f"{refused}: Error")
    hear("A nightly load test has not run")
    assert not any(first in one for one in subjects())
