"""A Python scenario as a flow, by its class, its file, and by the generic deployment where Python is allowed."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from loadflow.engine.scenario.loading import ALLOW, load_scenarios
from loadflow.engine.session.session import Session
from loadflow.errors import ScriptError
from loadflow.flows import flow_of, run_script
from tests.targets.fixture import Target

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]

SHOP = """
    from loadflow import VUser, scenario, task

    @scenario(rps=10, duration="1s", mode="constant")
    class Shop(VUser):
        @task
        def home(self, client):
            client.get("/ok")
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(ALLOW, "")
    path = tmp_path / "shop.py"
    path.write_text(dedent(SHOP))
    return path


def test_a_flow_of_a_file_and_of_a_class(target: Target, file: Path, tmp_path: Path) -> None:
    target.reset()
    session = Session(runs_dir=tmp_path / "runs")
    flow: Any = flow_of(f"{file}:Shop", target=target.url, session=session)
    assert flow.name == "Shop"
    assert flow().verdict.kind == "passed"
    assert target.counts() == {"/ok": 10}
    (made,) = load_scenarios(file)
    assert sys.modules[made.cls.__module__].__file__ == str(file)
    assert flow_of(made.cls).name == "Shop"


def test_the_generic_flow_runs_python_only_where_it_is_allowed(
    target: Target, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.reset()
    asked: dict[str, Any] = {"variables": {"target": target.url}, "runs_dir": str(tmp_path / "runs")}
    refused: Any = run_script(script_path=str(file), **asked, return_state=True)
    assert refused.name == "Error"
    assert "is a Python file, and none is run here" in refused.message
    assert target.counts() == {}
    monkeypatch.setenv(ALLOW, "1")
    load: Any = run_script(script_path=f"{file}:Shop", **asked)
    assert (load.passed, load.label) == (True, "Shop")
    with pytest.raises(ScriptError, match="has no scenario 'Sop'; did you mean 'Shop'"):
        flow_of(f"{file}:Sop")
