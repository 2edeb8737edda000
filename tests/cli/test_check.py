"""`loadflow check` and `loadflow schema`: golden texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from loadflow.cli import main
from loadflow.engine.generator.native.fit import is_built
from tests.cli.running import load, loadflow, steps_script
from tests.services import need

GOLDEN = """\
a.json: 2 mistakes
  actions[0].tasks[0].assertions[0].type: 'status' is not an assertion
      did you mean 'status_code'?
  actions[0].user_cuont: 'user_cuont' is not an argument of LD_start_test
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


def test_of_users_of_several_protocols_it_is_said_who_makes_their_load(tmp_path: Path) -> None:
    need(is_built(), "the native core is not built")
    web = {"method": "get", "request_url": "/"}
    talk = {"user": "websocket_user", "method": "ping"}
    count = {"user": "redis_user", "command": ["INCR", "a"], "server": "127.0.0.1:1"}

    def mixed(*steps: dict[str, object]) -> list[object]:
        test = {"user_detail_dict": {"user": "fast_http_user"}, "host": "http://127.0.0.1:1", "user_count": 1, "test_time": 1}
        return ["LD_start_test", {**test, "tasks": list(steps)}]

    (tmp_path / "mixed.json").write_text(json.dumps([mixed(web, talk), mixed(web, count), mixed(web)]), encoding="utf-8")
    result = CliRunner().invoke(main, ["check", "mixed.json"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        "mixed.json: ok, 3 actions\n"
        "  a load of fast_http_user, websocket_user: made by the native core\n"
        "  a load of fast_http_user, redis_user: made by Locust, as the native core does not take user 'redis_user'\n"
    )


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


A_STEP = {"method": "get", "request_url": "http://127.0.0.1:1/", "name": "a"}
LOADDENSITY: Any = [["LD_start_test", {"user_detail_dict": {"user": "http_user"}, "tasks": [A_STEP]}]]
WARNED = """\
old.json: 1 warning
  actions[0].wait_time: in LoadDensity: each user always waits 0.1 to 0.2 s after each pass; here: it waits `wait_time`; without `wait_time` there is no pause, and 60 to 560 times more load
      migrate adds `"wait_time": {"min": 0.1, "max": 0.2}`
  `loadflow migrate old.json` writes what it meant in LoadDensity; see docs/loaddensity.md
"""  # noqa: E501


def test_a_script_of_loaddensity_is_right_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text(json.dumps(LOADDENSITY), encoding="utf-8")
    result = CliRunner().invoke(main, ["check", "old.json"])
    assert (result.exit_code, result.stdout, result.stderr) == (0, "old.json: ok, 1 action\n", WARNED)
    assert CliRunner().invoke(main, ["check", "--strict", "old.json"]).exit_code == 2
    ours = CliRunner().invoke(main, ["check", "--strict", "--from", "loadflow", "old.json"])
    assert (ours.exit_code, ours.stderr) == (0, "")


def test_a_migrated_script_has_no_warning_left(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text(json.dumps(LOADDENSITY), encoding="utf-8")
    result = CliRunner().invoke(main, ["migrate", "old.json", "-o", "new.json"])
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        "  actions[0].wait_time: 0.1 to 0.2 s after each pass, as in LoadDensity",
        "old.json: 1 change",
        "wrote new.json; `loadflow check new.json` names what is left",
    ]
    result = CliRunner().invoke(main, ["check", "--strict", "--from", "loaddensity", "new.json"])
    assert (result.exit_code, result.stderr) == (0, "")
    again = CliRunner().invoke(main, ["migrate", "new.json"])
    assert again.stdout == (tmp_path / "new.json").read_text(encoding="utf-8")
    assert again.stderr == "new.json: no changes\n"


def test_files_that_a_script_of_loaddensity_runs_are_named_with_what_differs_in_them(tmp_path: Path) -> None:
    (tmp_path / "part.json").write_text(json.dumps(LOADDENSITY), encoding="utf-8")
    (tmp_path / "all.json").write_text(json.dumps([["LD_execute_files", [["part.json"]]]]), encoding="utf-8")
    checked = CliRunner().invoke(main, ["check", "all.json"])
    assert checked.exit_code == 0
    assert "  part.json: actions[0].wait_time: in LoadDensity: " in checked.stderr
    assert checked.stderr.splitlines()[-1].startswith("  `loadflow migrate part.json` writes what it meant")
    migrated = CliRunner().invoke(main, ["migrate", "all.json"])
    assert migrated.stderr.splitlines() == [
        "all.json: no changes",
        "part.json, which the script runs, needs changes too; run `loadflow migrate part.json`",
        "  actions[0].wait_time: 0.1 to 0.2 s after each pass, as in LoadDensity",
    ]


def test_what_loaddensity_passes_over_is_a_mistake_with_the_way_to_migrate(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text(json.dumps([[LOADDENSITY[0][0], {**LOADDENSITY[0][1], "record_batch_size": 5}]]), encoding="utf-8")
    result = CliRunner().invoke(main, ["check", "old.json"])
    assert result.exit_code == 2
    assert "'record_batch_size' is not an argument of LD_start_test" in result.stderr
    assert "`loadflow migrate old.json` writes" in result.stderr


def test_steps_that_send_different_things_under_one_name_are_named(tmp_path: Path) -> None:
    step = {"method": "post", "request_url": "http://127.0.0.1:1/graphql"}
    test = {"user_detail_dict": {}, "wait_time": 0, "tasks": {"tasks": [{**step, "json": 1}, {**step, "json": 2}, {**step, "json": 1}]}}
    (tmp_path / "a.json").write_text(json.dumps([["LD_start_test", test]]), encoding="utf-8")
    result = CliRunner().invoke(main, ["check", "a.json"])
    assert (result.exit_code, result.stdout) == (0, "a.json: ok, 1 action\n")
    assert "actions[0].tasks.tasks[1]: is counted together with tasks.tasks[0], which sends something else to the same URL" in result.stderr


@pytest.mark.parametrize("name", ["/dev/stdin", "/dev/fd/0"])
def test_a_script_may_come_through_a_pipe(name: str, tmp_path: Path) -> None:
    done = loadflow(tmp_path, "check", name, stdin='[["len", ["four"]]]')
    assert (done.code, done.stdout) == (0, f"{name}: ok, 1 action\n")


def test_a_script_runs_through_a_pipe_and_what_it_names_does_not(tmp_path: Path) -> None:
    done = loadflow(tmp_path, "run", "--direct", "/dev/stdin", stdin='[["len", ["four"]]]')
    assert done.code == 0, done.stderr
    done = loadflow(tmp_path, "check", "/dev/stdin", stdin='[["LD_execute_files", {"execute_files_list": ["/dev/stdin"]}]]')
    assert done.code == 2
    assert "is a FIFO, not a file" in done.stdout + done.stderr
