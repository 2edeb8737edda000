"""`loadflow har`: the script it writes and the report it prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from loadflow.cli import main
from tests.recording.hars import FIXTURES, entry, har

REPORT = """\
2 steps from 3 entries
left out, because no step can play it (1):
  entry 2: CONNECT https://pinned.example:443/ CONNECT opens a tunnel; the requests inside are entries of their own
correlated (2):
  location: from POST /upload: header location, to GET /files/{id}: URL
  digest: from POST /upload: json_path digest, to GET /files/{id}: header x-digest
secrets to give before it runs (1):
  ${env.RECORDED_X_API_KEY}: POST /upload: header x-api-key, GET /files/{id}: header x-api-key
"""
FILE = str(FIXTURES / "mitmproxy.har")


def test_the_script_that_it_writes_passes_the_check_once_the_secrets_are_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "new" / "script.json"
    result = CliRunner().invoke(main, ["har", FILE, "-o", str(script), "--users", "3", "--think-time", "0.5"])
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", f"{REPORT}wrote {script}\n")
    assert json.loads(script.read_text(encoding="utf-8"))["load_density"][0][1]["user_count"] == 3
    assert [path.name for path in script.parent.iterdir()] == ["script.json"]
    without = CliRunner().invoke(main, ["check", str(script)])
    assert without.exit_code == 2 and "'RECORDED_X_API_KEY' is not set" in without.stderr
    monkeypatch.setenv("RECORDED_X_API_KEY", "sk-1")
    assert CliRunner().invoke(main, ["check", str(script)]).exit_code == 0


def test_without_a_file_the_script_is_on_stdout_and_the_report_on_stderr() -> None:
    result = CliRunner().invoke(main, ["har", FILE, "--include", "upload"])
    assert [task["name"] for task in json.loads(result.stdout)["load_density"][0][1]["tasks"]["tasks"]] == ["POST /upload"]
    assert "2 entries left out by include and exclude" in result.stderr


def test_a_long_report_is_cut_unless_all_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.har"
    path.write_text(
        json.dumps(har(entry("http://x.example/"), *(entry(f"ws://x.example/{number}") for number in range(30)))), encoding="utf-8"
    )
    short = CliRunner().invoke(main, ["har", str(path)]).stderr
    assert "left out, because no step can play it (30):" in short and "and 18 more" in short
    assert "entry 30: GET ws://x.example/29 is a websocket" in CliRunner().invoke(main, ["har", str(path), "--report"]).stderr


MISTAKES = [
    (["har", "gone.har"], "gone.har: 1 mistake\n  there is no such file\n      check the path\n"),
    (["har", FILE, "--include", "("], "script: 1 mistake\n  include[0]: '(' is not a pattern that RE2 takes: "),
    (["har", FILE, "--think-time", "slow"], "think_time: 'slow' is not a think time"),
    (["har", FILE, "--think-time", "nan"], "think_time.scale: must be a number from 0 on"),
    (["har", FILE, "--user", "nobody"], "user_detail_dict.user: 'nobody' is not a user type"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[message[:30] for _, message in MISTAKES])
def test_a_mistake_ends_with_2_and_the_way_out(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""
