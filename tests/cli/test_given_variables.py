"""`--var`: it wins over what the script says, arrives as it was written, and must be of use."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from loadflow.cli import main
from loadflow.cli.boundary import USAGE
from loadflow.engine.records.run import Run
from tests.targets.fixture import Target

pytestmark = pytest.mark.usefixtures("forked_engines")
ENGINES = ("native", "locust")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(actions: list[Any], *variables: str) -> Result:
    Path("script.json").write_text(json.dumps(actions))
    given = [part for one in variables for part in ("--var", one)]
    return CliRunner().invoke(main, ["run", "--direct", "--quiet", "--runs-dir", "runs", *given, "script.json"])


def load(step: dict[str, Any], **keys: Any) -> list[Any]:
    detail = {"user": "fast_http_user", "engine": keys.pop("engine", "auto")}
    return ["LD_start_test", {"user_detail_dict": detail, "user_count": 1, "iterations": 1, "test_time": 5, "tasks": [step], **keys}]


@pytest.mark.parametrize("engine", ENGINES)
def test_text_arrives_as_it_was_written(engine: str, target: Target) -> None:
    target.reset()
    step = {
        "method": "post",
        "request_url": f"{target.url}/ok?version=${{var.version}}&sha=${{var.sha}}",
        "json": {"version": "${var.version}", "sha": "${var.sha}", "list": "${var.list}", "n": "${var.n}"},
    }
    done = run([load(step, engine=engine)], "version=1.10", "sha=12e45678", "list=[1e999]", "n=5")
    assert done.exit_code == 0, done.output
    (record,) = target.records()
    assert record.target == "/ok?version=1.10&sha=12e45678"
    assert record.json == {"version": "1.10", "sha": "12e45678", "list": "[1e999]", "n": 5}


WAYS: dict[str, list[Any]] = {
    "LD_register_variable": [["LD_register_variable", {"name": "base", "value": "http://127.0.0.1:9"}]],
    "LD_register_variables": [["LD_register_variables", [{"base": "http://127.0.0.1:9"}]]],
    "after LD_clear_resolver": [["LD_clear_resolver"], ["LD_register_variable", ["base", "http://127.0.0.1:9"]]],
    "LD_clear_resolver alone": [["LD_clear_resolver"]],
}


@pytest.mark.parametrize("before", WAYS.values(), ids=WAYS)
def test_it_wins_over_what_the_script_registers(before: list[Any], target: Target) -> None:
    target.reset()
    done = run([*before, load({"method": "get", "request_url": "${var.base}/ok"})], f"base={target.url}")
    assert done.exit_code == 0, done.output
    assert [record.path for record in target.records()] == ["/ok"]


def test_it_wins_over_the_tests_own_variables(target: Target) -> None:
    target.reset()
    step = {"method": "get", "request_url": "${var.base}/ok"}
    done = run([load(step, variables={"base": "http://127.0.0.1:9"})], f"base={target.url}")
    assert done.exit_code == 0, done.output
    assert [record.path for record in target.records()] == ["/ok"]


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_name_that_nothing_uses_is_refused(command: str, target: Target) -> None:
    target.reset()
    Path("script.json").write_text(json.dumps([load({"method": "get", "request_url": f"{target.url}/x"}, variables={"base": 1})]))
    done = CliRunner().invoke(main, [command, "script.json", "--var", "bse=2"])
    assert done.exit_code == USAGE
    assert "--var bse: nothing in the script uses this variable\n      did you mean 'base'?" in done.output
    assert target.records() == []


def test_with_several_scripts_one_that_uses_it_is_enough() -> None:
    for number, text in enumerate(("${var.word}", "none")):
        Path(f"{number}.json").write_text(json.dumps([load({"method": "get", "request_url": "http://127.0.0.1:9", "name": text})]))
    assert CliRunner().invoke(main, ["check", "0.json", "1.json", "--var", "word=x"]).exit_code == 0
    assert CliRunner().invoke(main, ["check", "1.json", "--var", "word=x"]).exit_code == USAGE


@pytest.mark.parametrize("engine", ["native", "locust"])
def test_a_json_body_never_holds_infinity(engine: str, target: Target) -> None:
    """What an answer calls 1e999 is not a number that JSON can hold: the step fails, and nothing is sent."""
    target.reset()
    raw = urlsafe_b64encode(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{"n": 1e999}').decode()
    steps = [
        {"method": "get", "request_url": f"{target.url}/raw?b64={raw}", "extract": [{"var": "n", "path": "n"}]},
        {"method": "post", "request_url": f"{target.url}/ok", "json": {"deep": [{"n": "${var.n}"}]}},
    ]
    done = run([load({}, engine=engine, tasks=steps)])
    assert done.exit_code == 1
    assert [record.path for record in target.records()] == ["/raw"]
    (run_folder,) = Path("runs").glob("*/")
    errors = [error.text for _, error in Run.open(run_folder).totals().errors]
    assert errors == ["the JSON body would hold an infinite number or NaN, which JSON has not"]
