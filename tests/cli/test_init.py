"""`loadflow init`: the project it makes works as it is."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from loadflow.cli import main
from loadflow.cli.init import FILES, PYTHON_FILES


def test_it_makes_every_file_and_says_what_next(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["init", str(tmp_path / "My Load")])
    assert result.exit_code == 0
    for name in FILES:
        assert (tmp_path / "My Load" / name).is_file()
        assert f"made {tmp_path / 'My Load' / name}" in result.stdout
    assert "loadflow run scripts/smoke.json" in result.stdout
    assert yaml.safe_load((tmp_path / "My Load/prefect.yaml").read_text())["name"] == "my-load"


def test_without_a_path_it_is_this_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["init", "--python"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert all((tmp_path / name).is_file() for name in (*FILES, *PYTHON_FILES))
    assert "next:\n  loadflow check scenarios/example.py" in result.stdout


def test_the_name_of_a_file_is_no_folder(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["init", str(tmp_path / "shop.py")])
    assert result.exit_code == 2
    assert "is the name of a file, and a project is a folder" in result.stderr
    assert not list(tmp_path.iterdir())


def test_its_script_passes_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    CliRunner().invoke(main, ["init", str(tmp_path / "p")])
    monkeypatch.chdir(tmp_path / "p")
    result = CliRunner().invoke(main, ["check", "scripts/smoke.json", "--var", "base=http://127.0.0.1:1"])
    assert (result.exit_code, result.stderr) == (0, "")


def test_its_deployment_is_paused_and_its_entrypoint_is_there(tmp_path: Path) -> None:
    CliRunner().invoke(main, ["init", str(tmp_path / "p")])
    (deployment,) = yaml.safe_load((tmp_path / "p/prefect.yaml").read_text())["deployments"]
    assert [schedule["active"] for schedule in deployment["schedules"]] == [False]
    module, _, name = deployment["entrypoint"].partition(":")
    assert name in dir(importlib.import_module(module))
    assert (tmp_path / "p" / deployment["parameters"]["script_path"]).is_file()
    url = deployment["work_pool"]["job_variables"]["env"]["LOADFLOW_REPORTS_URL"]
    assert f"loadflow reports serve --port {url.rpartition(':')[2]}" in (tmp_path / "p/README.md").read_text()
    assert yaml.safe_load((tmp_path / "p/.github/workflows/load.yaml").read_text())["jobs"]


def test_a_file_that_is_there_is_kept_unless_forced(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine", encoding="utf-8")
    refused = CliRunner().invoke(main, ["init", str(tmp_path)])
    assert refused.exit_code == 2
    assert f"{tmp_path} has README.md already; give another folder, or --force to overwrite" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"], "a refusal makes nothing"
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == "mine"
    forced = CliRunner().invoke(main, ["init", str(tmp_path), "--force"])
    assert forced.exit_code == 0
    assert f"overwrote {tmp_path / 'README.md'}" in forced.stdout


def test_a_scenario_in_python_and_its_test_are_made_if_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = CliRunner().invoke(main, ["init", str(tmp_path), "--python"])
    assert made.exit_code == 0
    assert {name for name in PYTHON_FILES if not (tmp_path / name).exists()} == set()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOADFLOW_ALLOW_PYTHON", "")  # the command sets it
    checked = CliRunner().invoke(main, ["check", "scenarios/example.py"])
    assert (checked.exit_code, checked.stderr) == (0, "")
    assert "health: traced, 1 step" in checked.stdout
