"""`loadflow doctor`: what is there, and what is broken."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner
from prefect.settings import PREFECT_API_URL, temporary_settings

from loadflow.cli import diagnosis, main
from loadflow.cli.diagnosis import Finding
from loadflow.engine.load.native_fit import is_built


def test_a_machine_that_runs_the_tests_is_in_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["doctor", "--json"])
    findings = {one["name"]: one for one in json.loads(result.stdout)}
    assert result.exit_code == 0, result.stdout
    assert findings["engine locust"]["state"] == "ok"
    text = "built in Rust" if is_built() else "so every test runs on locust"
    assert findings["engine native"]["state"] == ("ok" if is_built() else "note")
    assert text in findings["engine native"]["text"]
    for name in ("loadflow", "packages", "open files", "loopback", "local ports", "run folders", "prefect api", *diagnosis.SERVERS):
        assert name in findings
    assert list(tmp_path.iterdir()) == [], "it only looks"


def test_something_broken_makes_it_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "diagnose", lambda: iter([Finding("a", "ok", "fine"), Finding("b", "broken", "gone; get it back")]))
    result = CliRunner().invoke(main, ["doctor"])
    assert (result.exit_code, result.stdout) == (5, "ok     a: fine\nbroken b: gone; get it back\n")


def test_a_prefect_api_that_does_not_answer_is_broken_and_shown_without_its_password() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with temporary_settings({PREFECT_API_URL: f"http://ann:hunter22@127.0.0.1:{port}/api"}):
        finding = diagnosis.prefect_api()
    assert finding.state == "broken"
    assert finding.text.startswith(f"http://127.0.0.1:{port}/api does not answer (")
    assert "hunter22" not in finding.text


def test_a_fastapi_that_breaks_prefect_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "_version", lambda name: "0.152.0" if name == "fastapi" else "1.0")
    assert [one.name for one in diagnosis.packages() if one.state == "broken"] == ["fastapi"]


def test_a_missing_package_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "_version", lambda name: None if name == "gevent" else "0.1")
    (broken,) = [one for one in diagnosis.packages() if one.state == "broken"]
    assert broken.text == "not installed: gevent; install loadflow again with pip"
