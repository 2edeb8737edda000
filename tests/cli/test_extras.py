"""What is not in everybody's install: a script that needs it is refused before anything is sent, with the command that installs it."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from loadflow.cli import main
from loadflow.engine.base.extras import EXTRAS
from tests.waiting import HANG_S

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
# the command line where some modules can't be imported
WITHOUT = """
import sys
sys.modules.update(dict.fromkeys({modules!r}))
sys.argv = ["loadflow", *{arguments!r}]
from loadflow.__main__ import start
start()
"""
PROTO = 'syntax = "proto3"; package a; message M {} service S { rpc Do(M) returns (M); }'


def _load(user: str, step: dict[str, Any]) -> list[Any]:
    return [["LD_start_test", {"user_detail_dict": {"user": user}, "user_count": 1, "test_time": 1, "tasks": [step]}]]


CALL = {"target": "127.0.0.1:1", "service": "a.S", "method": "Do"}
GET = {"method": "get", "request_url": "http://127.0.0.1:1/"}
ROWS = [
    pytest.param(_load("grpc_user", {**CALL, "proto": "a.proto"}), "grpc", "grpc_tools", id="a .proto"),
    pytest.param(_load("grpc_user", CALL), "grpc", "grpc_reflection", id="reflection"),
    pytest.param(_load("fast_http_user", {**GET, "headers": {"X-Name": "${faker.first_name}"}}), "faker", "faker", id="a made-up value"),
]


def _check(folder: Path, actions: list[Any], without: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    (folder / "script.json").write_text(json.dumps(actions), encoding="utf-8")
    (folder / "a.proto").write_text(PROTO, encoding="utf-8")
    code = WITHOUT.format(modules=without, arguments=["check", "script.json"])
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.run([sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True, timeout=HANG_S)


@pytest.mark.parametrize(("actions", "extra", "module"), ROWS)
def test_check_names_the_extra_that_is_missing(actions: list[Any], extra: str, module: str, tmp_path: Path) -> None:
    ended = _check(tmp_path, actions, EXTRAS[extra].modules)
    assert ended.returncode == 2
    assert module in ended.stderr
    assert f"pip install 'loadflow[{extra}]'" in ended.stderr


def test_without_any_extra_a_script_that_needs_none_passes(tmp_path: Path) -> None:
    ended = _check(tmp_path, _load("fast_http_user", GET), tuple(module for extra in EXTRAS.values() for module in extra.modules))
    assert ended.returncode == 0, ended.stderr


def test_extras_are_those_of_the_package() -> None:
    extras = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    of_workers = {"docker", "kubernetes"}  # which no script needs: they are where Prefect starts containers
    assert set(EXTRAS) == set(extras) - {"all", "test", "dev"} - of_workers
    assert extras["all"] == [f"loadflow[{','.join(EXTRAS)}]"]


def test_readme_says_which_extras_there_are() -> None:
    text = (PYPROJECT.parent / "README.md").read_text(encoding="utf-8")
    assert set(EXTRAS) <= set(re.findall(r"loadflow\[(\w+)\]", text))


def test_doctor_lists_them() -> None:
    findings = json.loads(CliRunner().invoke(main, ["doctor", "--json"]).stdout)
    (text,) = [one["text"] for one in findings if one["name"] == "extras"]
    assert [part.split()[0] for part in text.split("; ")] == list(EXTRAS)
