"""The commands that people wait for import little: each row names every library that may be loaded, and any other is a fault."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import HANG_S

# runs the command line in a process of its own, then tells which packages from outside of the standard library came with it
LOOK = """
import json, os, sys
before = set(sys.modules)
exec(os.environ["LOOK_AT"])
home = {name.split(".")[0] for name, module in sys.modules.items() if name not in before
        if {"site-packages", "dist-packages"} & set((getattr(module, "__file__", None) or "").split(os.sep))}
print("\\n" + json.dumps(sorted(home - {"loadflow"})))
"""
RUN = """
from loadflow.__main__ import start
for arguments in {all_arguments!r}:
    sys.argv = ["loadflow", *arguments]
    try:
        start()
    except SystemExit as end:
        assert not end.code, end.code
"""
MODELS = {"_re2", "re2", "annotated_types", "pydantic", "pydantic_core", "typing_extensions", "typing_inspection"}
STEP = {"method": "get", "request_url": "http://127.0.0.1:1/"}
LOAD = ["LD_start_test", {"user_detail_dict": {"user": "fast_http_user"}, "user_count": 1, "test_time": 1, "tasks": [STEP]}]
RATE = ["LD_start_test", {**LOAD[1], "rate": 10, "thresholds": ["p95 < 500 ms"]}]  # type: ignore[dict-item]
REPORTS = [["LD_summary"], ["LD_generate_html_report"], ["LD_generate_junit_report"], ["LD_clear_records"]]
STORE = ["LD_persist_records", {"database_path": "runs.db"}]
SLA = ["LD_assert_sla", {"rules": [{"expr": "p95 < 500 ms"}]}]
SETTING = [["LD_register_variable", {"name": "a", "value": 1}], ["LD_install_failure_budget"]]


def _libraries(code: str, cwd: Path = Path()) -> set[str]:
    env = {**os.environ, "LOOK_AT": code, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    ended = subprocess.run([sys.executable, "-c", LOOK], env=env, cwd=cwd, capture_output=True, text=True, timeout=HANG_S)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return set(json.loads(ended.stdout.splitlines()[-1]))


def test_import_loadflow_imports_no_other_package() -> None:
    assert _libraries("import loadflow") == set()


def test_names_of_the_face_are_found_by_dir_without_importing_their_homes() -> None:
    assert _libraries("import loadflow; assert 'start_test' in dir(loadflow) and 'run_script' in loadflow.__all__") == set()


def test_help_needs_the_command_line_alone() -> None:
    """One process for all: what any of them imports is there at the end."""
    assert _libraries(RUN.format(all_arguments=[["--help"], ["--version"], ["run", "--help"], ["check", "--help"]])) <= {"click"}


@pytest.mark.parametrize(
    ("actions", "more"),
    [
        pytest.param(
            [LOAD, *SETTING, RATE, SLA, *REPORTS], set(), id="loads, what is set for them, a rate with thresholds, an SLA, reports"
        ),
        pytest.param([LOAD, STORE], {"sqlalchemy", "greenlet"}, id="a store, whose URL SQLAlchemy reads"),
        pytest.param([["LD_start_prometheus_exporter"], LOAD], {"numpy"}, id="an exporter, which counts in arrays"),
    ],
)
def test_check_needs_the_models_alone(actions: list[object], more: set[str], tmp_path: Path) -> None:
    """Not numpy, jinja2, locust, gevent, prefect, msgpack, nats: what runs loads and writes reports is imported when they are."""
    (tmp_path / "script.json").write_text(json.dumps(actions), encoding="utf-8")
    found = _libraries(RUN.format(all_arguments=[["check", "script.json"]]), tmp_path)
    assert found <= {"click", *MODELS, *more}, found
