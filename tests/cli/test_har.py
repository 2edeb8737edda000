"""`loadflow har`: the script, the report, the exit code."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.running import loadflow
from tests.recording.build import entry, har

RECORDED = har(
    entry("POST", "http://h/login", post={"mimeType": "application/json", "text": '{"password": "hunter22"}'}, answer='{"token": "t-1"}'),
    entry(url="http://h/a", headers={"Authorization": "Bearer t-1"}),
    entry(url="http://h/a.css"),
    entry(url="wss://h/live"),
)


def test_the_script_passes_the_check_once_its_secrets_are_set(tmp_path: Path) -> None:
    (tmp_path / "a.har").write_text(json.dumps(RECORDED), encoding="utf-8")
    done = loadflow(tmp_path, "har", "a.har", "-o", "out/script.json", "--exclude", "css$", "--user-count", "3")
    assert (done.code, done.stderr) == (0, "")
    for words in ("4 entries, 2 steps", "1 filtered out", "wss://h/live: a WebSocket", "${var.token}: json_path token", "  PASSWORD"):
        assert words in done.stdout
    assert "hunter22" not in done.stdout
    ((_, arguments),) = json.loads((tmp_path / "out/script.json").read_text(encoding="utf-8"))["load_density"]
    assert (arguments["user_count"], len(arguments["tasks"]["tasks"])) == (3, 2)
    assert loadflow(tmp_path, "check", "out/script.json").code == 2
    assert loadflow(tmp_path, "check", "out/script.json", PASSWORD="x").code == 0


def test_without_a_file_to_write_the_script_alone_is_on_stdout(tmp_path: Path) -> None:
    (tmp_path / "a.har").write_text(json.dumps(RECORDED), encoding="utf-8")
    done = loadflow(tmp_path, "har", "a.har", "--keep-secrets")
    assert done.json["load_density"][0][1]["tasks"]["tasks"][0]["json"] == {"password": "hunter22"}
    assert "1 left out" in done.stderr


def test_what_is_no_har_is_said_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "a.har").write_text("{}", encoding="utf-8")
    done = loadflow(tmp_path, "har", "a.har", "-o", "script.json")
    assert done.code == 2
    assert "is no HAR" in done.stderr
    assert not (tmp_path / "script.json").exists()
