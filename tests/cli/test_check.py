"""`loadflow check` and `loadflow schema`: golden texts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from loadflow.cli import main
from tests.cli.running import load, steps_script

GOLDEN = """\
a.json: 2 mistakes
  actions[0].tasks[0].assertions[0].type: 'status' is no assertion
      did you mean 'status_code'?
  actions[0].user_cuont: 'user_cuont' is no argument of LD_start_test
      did you mean 'user_count'?
b.json: 1 mistake
  line 1 column 16: expecting ',' delimiter
      correct the JSON text here
d.json: 1 mistake
  there is no such file
      check the path
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_right_script_is_one_line(tmp_path: Path) -> None:
    steps_script(tmp_path, load("http://127.0.0.1:1/"), ["LD_summary"], name="right.json")
    result = CliRunner().invoke(main, ["check", "right.json"])
    assert (result.exit_code, result.stdout, result.stderr) == (0, "right.json: ok, 2 actions\n", "")


def test_all_mistakes_of_all_files_are_printed_at_once(tmp_path: Path) -> None:
    wrong_step = {"assertions": [{"type": "status", "value": 200}]}
    steps_script(tmp_path, load("http://127.0.0.1:1/", user_cuont=3, step=wrong_step), name="a.json")
    (tmp_path / "b.json").write_text('[["LD_summary"]', encoding="utf-8")
    steps_script(tmp_path, ["LD_summary"], name="c.json")
    result = CliRunner().invoke(main, ["check", "a.json", "b.json", "c.json", "d.json"])
    assert result.exit_code == 2
    assert result.stdout == "c.json: ok, 1 action\n"
    assert result.stderr == GOLDEN


def test_a_variable_that_is_given_is_no_mistake(tmp_path: Path) -> None:
    steps_script(tmp_path, load("${var.base}/x"), name="v.json")
    without = CliRunner().invoke(main, ["check", "v.json"])
    assert without.exit_code == 2
    assert "no variable 'base'" in without.stderr
    assert CliRunner().invoke(main, ["check", "v.json", "--var", "base=http://127.0.0.1:1"]).exit_code == 0


def test_nothing_is_run_or_made(tmp_path: Path) -> None:
    steps_script(tmp_path, load("http://127.0.0.1:1/"), ["LD_generate_html_report"], name="s.json")
    assert CliRunner().invoke(main, ["check", "s.json"]).exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["s.json"]


def test_schema_is_json_schema_and_takes_what_check_takes(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["schema"])
    assert result.exit_code == 0
    schema = json.loads(result.stdout)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    assert validator.is_valid([load("http://127.0.0.1:1/"), ["LD_summary"]])
    assert not validator.is_valid([load("http://127.0.0.1:1/", user_cuont=3)])
