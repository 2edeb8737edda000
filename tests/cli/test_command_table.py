"""The command table, its page and the two documents that set its scope name the same commands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from loadflow.cli.command_examples import EXAMPLES
from loadflow.engine.command import Command
from loadflow.engine.commands import TABLE
from loadflow.engine.execute import load_script
from loadflow.engine.session import Session

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
BESIDES = ["LD_evaluate_sla", "LD_assert_sla", "LD_diff_runs"]  # what neither document has


def test_every_command_of_the_documents_is_there_and_no_other() -> None:
    assert set(TABLE) == {*ACTION_EXECUTOR, *RELIABILITY, *BESIDES}


def test_every_command_has_a_result_and_an_example() -> None:
    assert set(EXAMPLES) == set(TABLE)


@pytest.mark.parametrize("command", TABLE.values(), ids=TABLE)
def test_every_example_may_be_run_as_written(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("users.csv").write_text("user\nann\n", encoding="utf-8")
    Path("our_checks.py").write_text("def check():\n    return True\n", encoding="utf-8")
    monkeypatch.syspath_prepend(os.fspath(tmp_path))
    script = load_script([EXAMPLES[command.name].action], session=Session(allowed_packages=["our_checks"]))
    assert script.actions[0].name == command.name


@pytest.mark.parametrize("command", TABLE.values(), ids=TABLE)
def test_every_command_has_a_task_policy_and_a_summary(command: Command) -> None:
    assert command.summary.endswith(".")
    assert command.policy.timeout_seconds or command.loads or command.nested
