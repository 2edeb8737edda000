"""The command table, its page and the two documents that set its scope name the same commands."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

import loadflow
from loadflow.engine.script.command import GROUPS, Command
from loadflow.engine.session.execute import load_script
from loadflow.engine.session.session import Session
from loadflow.engine.session.table import TABLE
from tests.recording.hars import entry, har
from tests.waiting import HANG_S

# LoadDensity's documents "Action Executor" and "Reliability API", as lists of names
ACTION_EXECUTOR = [
    "LD_start_test",
    "LD_execute_action",
    "LD_execute_files",
    "LD_add_package_to_executor",
    "LD_start_socket_server",
    "LD_generate_html",
    "LD_generate_html_report",
    "LD_generate_json",
    "LD_generate_json_report",
    "LD_generate_xml",
    "LD_generate_xml_report",
    "LD_generate_csv_report",
    "LD_generate_junit_report",
    "LD_generate_summary_report",
    "LD_summary",
    "LD_persist_records",
    "LD_list_runs",
    "LD_fetch_run_records",
    "LD_clear_records",
    "LD_register_variable",
    "LD_register_variables",
    "LD_register_csv_source",
    "LD_register_csv_sources",
    "LD_clear_resolver",
    "LD_load_har",
    "LD_har_to_tasks",
    "LD_har_to_action_json",
    "LD_start_prometheus_exporter",
    "LD_stop_prometheus_exporter",
    "LD_start_influxdb_sink",
    "LD_stop_influxdb_sink",
    "LD_start_opentelemetry_exporter",
    "LD_stop_opentelemetry_exporter",
]
RELIABILITY = [
    "LD_install_failure_budget",
    "LD_uninstall_failure_budget",
    "LD_install_network_conditioner",
    "LD_uninstall_network_conditioner",
]
# what neither document has
BESIDES = [
    "LD_evaluate_sla",
    "LD_assert_sla",
    "LD_diff_runs",
    "LD_judge",
    "LD_duet",
    "LD_campaign",
    "LD_find_capacity",
    "LD_start_statsd_exporter",
    "LD_stop_statsd_exporter",
]


# what a contributor writes to add a command, and nothing else
SHOUT = """
from loadflow.engine.script.command import QUICK, Command

def shout(text: str, times: int = 1) -> str:
    return text.upper() + "!" * times

COMMAND = Command(
    "LD_shout", shout, "Say it louder.", QUICK, group="script", returns="text: the shouted text", example={"text": "hello"}
)
"""
# uses it: the folder is not that of the installed package, so nothing is written there
USES = """
import json, sys
import loadflow.engine.commands as folder
folder.__path__.append(sys.argv[1])
import loadflow
from loadflow.cli.commands import markdown
from loadflow.engine.load_test.schema import script_schema
from loadflow.engine.script.document import parse_script
from loadflow.engine.session.session import Session
from loadflow.engine.session.table import TABLE
from loadflow.errors import ScriptError
from loadflow.tasks.factory import task_for

action = ["LD_shout", {"text": "hello"}]
(parsed,) = parse_script([action], commands=Session().commands).actions
lines = markdown(TABLE.values(), []).splitlines()
try:
    loadflow.execute_action([["LD_shout", {"text": "hello", "times": "two"}]])
except ScriptError as error:
    mistake = error.mistakes[0].message
print(json.dumps({
    "run": loadflow.execute_action([action])["execute: ['LD_shout', {'text': 'hello'}]"],
    "task": task_for(TABLE["LD_shout"], TABLE["LD_shout"].policy, 0, parsed).name,
    "row": next(line for line in lines if line.startswith("| `LD_shout`")),
    "example": next(line.strip().rstrip(",") for line in lines if "LD_shout" in line and line.startswith("  ")),
    "schema": "LD_shout" in json.dumps(script_schema(Session().commands)),
    "python": loadflow.shout("hey", 2),
    "mistake": mistake,
}))
"""


def test_every_command_of_the_documents_is_there_and_no_other() -> None:
    assert set(TABLE) == {*ACTION_EXECUTOR, *RELIABILITY, *BESIDES}


@pytest.mark.parametrize("command", TABLE.values(), ids=TABLE)
def test_every_definition_has_all_that_the_docs_show(command: Command) -> None:
    assert command.group in GROUPS
    assert command.returns
    assert command.summary.endswith(".")
    assert command.policy.timeout_seconds or command.loads or command.nested


def test_a_command_is_one_file_and_no_other_file_has_its_name(tmp_path: Path) -> None:
    home = Path(loadflow.__file__).parent
    elsewhere = [
        f"{path.relative_to(home)} names {name}"
        for path in sorted(home.rglob("*.py"))
        for name in re.findall(r'Command\(\s*"(LD_\w+)"', path.read_text(encoding="utf-8"))
        if path.stem != name.lower() and path.name != "command.py"
    ]
    assert elsewhere == []


def test_a_file_is_a_command_of_scripts_tasks_docs_schema_and_python(tmp_path: Path) -> None:
    """A program of its own, because the table is what the folder holds when it is first looked at."""
    folder = Path(loadflow.__file__).parent / "engine" / "commands"
    (tmp_path / "ld_shout.py").write_text(SHOUT, encoding="utf-8")
    ended = subprocess.run([sys.executable, "-c", USES, os.fspath(tmp_path)], capture_output=True, text=True, timeout=HANG_S)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == {
        "run": "HELLO!",
        "task": "LD_shout",
        "row": "| `LD_shout` | `text`, `times=1` | text: the shouted text | ends after 60 s | Say it louder. |",
        "example": '["LD_shout", {"text": "hello"}]',
        "schema": True,
        "python": "HEY!!",
        "mistake": "must be a whole number, not text",
    }
    assert not (folder / "ld_shout.py").exists()


def test_naming_a_command_loads_its_own_file_alone() -> None:
    code = """
import sys
from loadflow.engine.session.session import Session
commands = Session().commands
assert "LD_summary" in commands and len(commands) > 40 and "LD_nothing" not in commands and list(commands)
assert not [name for name in sys.modules if name.startswith("loadflow.engine.commands.ld_")]
assert commands["LD_summary"].summary
print([name for name in sys.modules if name.startswith("loadflow.engine.commands.ld_")])
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=HANG_S)
    assert ended.stdout == "['loadflow.engine.commands.ld_summary']\n", ended.stderr


@pytest.mark.parametrize("command", TABLE.values(), ids=TABLE)
def test_every_example_may_be_run_as_written(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("users.csv").write_text("user\nann\n", encoding="utf-8")
    Path("our_checks.py").write_text("def check():\n    return True\n", encoding="utf-8")
    monkeypatch.syspath_prepend(os.fspath(tmp_path))
    for name in ("warmup.json", "main.json"):
        Path(name).write_text('[["print", ["hello"]]]', encoding="utf-8")
    Path("checkout.har").write_text(json.dumps(har(entry("http://127.0.0.1:9/"))), encoding="utf-8")
    step = {"name": "pay", "method": "get", "request_url": "http://127.0.0.1:9"}
    load = ["LD_start_test", {"user_detail_dict": {"user": "fast_http_user"}, "tasks": [step]}]
    script = load_script([load, command.action], session=Session(allowed_packages=["our_checks"]))
    assert script.actions[1].name == command.name


def test_every_row_names_a_function_and_a_model_that_are_there() -> None:
    broken = []
    for command in TABLE.values():
        try:
            if not callable(command.function) or (command.arguments is not None and not issubclass(command.arguments, BaseModel)):
                broken.append(command.name)
        except (ImportError, AttributeError) as error:
            broken.append(f"{command.name}: {error}")
    assert broken == []
