"""The generic flow: its form, its checks, its names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema

from loadflow.flows import run_script
from loadflow.flows.ending import results_of

pytestmark = pytest.mark.prefect
SCRIPT = [["max", ["${var.a}", "b"]]]


def test_the_module_entrypoint_gives_the_flow() -> None:
    assert load_flow_from_entrypoint("loadflow.flows.run_script:run_script").name == "loadflow"


def test_every_field_of_the_form_has_a_help_text_and_none_is_required() -> None:
    schema = parameter_schema(run_script.fn).model_dump_for_openapi()
    own = ["target", "store", "report_storage", "exclusive", "wait_for_target", "max_delay", "only_if"]
    assert list(schema["properties"]) == ["script", "script_path", "variables", "label", "report_dir", "runs_dir", *own]
    assert all(field["description"] for field in schema["properties"].values())
    assert not schema.get("required")


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({}, "neither of script and script_path is given"),
        ({"script": SCRIPT, "script_path": "x.json"}, "both of script and script_path is given"),
        ({"script_path": "nowhere.json"}, "no such file"),
        ({"script": [["lenn"]]}, "did you mean 'len'?"),
        ({"script": [["LD_start_test", {}]]}, "user_detail_dict"),
    ],
)
@pytest.mark.usefixtures("prefect_server")
def test_what_can_not_be_run_fails_in_the_state_error_and_says_why(parameters: dict[str, Any], said: str) -> None:
    state: Any = run_script(**parameters, return_state=True)
    assert (state.name, said in state.message) == ("Error", True), state.message


@pytest.mark.parametrize(
    ("more", "run_name"), [({}, "night"), ({"label": "before {release}"}, "before {release}")], ids=["the file's name", "the label"]
)
@pytest.mark.usefixtures("prefect_server")
def test_a_run_is_named_after_its_label_or_else_its_script(tmp_path: Path, more: dict[str, Any], run_name: str) -> None:
    path = tmp_path / "night.json"
    path.write_text('[["len", ["four"]]]')
    state: Any = run_script(script_path=str(path), **more, return_state=True)
    with get_client(sync_client=True) as client:
        assert client.read_flow_run(state.state_details.flow_run_id).name == run_name
    assert results_of(state).results[0].value == 4


@pytest.mark.usefixtures("prefect_server")
def test_called_from_python_it_returns_the_results() -> None:
    assert run_script(script=[["len", ["four"]]]).results[0].value == 4
