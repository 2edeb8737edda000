"""Every name that LoadDensity's documents and users know is here, or says what to write in its place."""

from __future__ import annotations

import importlib
import re

import pytest

import loadflow
from loadflow.cli import COMMANDS
from loadflow.errors import LoadflowError
from loadflow.old_names import OLD_NAMES

# what the two documents of LoadDensity's Python interface import, and the commands, which are functions there too
DOCUMENTED = [
    "execute_action", "add_command_to_executor", "AdaptiveRetryPolicy", "classify_error", "run_with_retry", "FailureBudget",
    "CircuitOpenError", "install_failure_budget", "uninstall_failure_budget", "NetworkConditioner", "install_network_conditioner",
    "uninstall_network_conditioner", "ProcessSupervisor", "with_watchdog", "start_test", "execute_files", "add_package_to_executor",
    "generate_html", "generate_html_report", "generate_json", "generate_json_report", "generate_xml", "generate_xml_report",
    "generate_csv_report", "generate_junit_report", "generate_summary_report", "persist_records", "list_runs", "fetch_run_records",
    "clear_records", "register_variable", "register_variables", "register_csv_source", "register_csv_sources", "clear_resolver",
    "load_har", "har_to_tasks", "har_to_action_json", "start_prometheus_exporter", "stop_prometheus_exporter", "start_influxdb_sink",
    "stop_influxdb_sink", "start_opentelemetry_exporter", "stop_opentelemetry_exporter", "evaluate_sla", "assert_sla", "diff_runs",
]  # fmt: skip
OTHERS = [
    "executor", "build_summary", "parameter_resolver", "create_project_dir", "callback_executor", "test_record_instance", "get_resolver",
    "use_resolver", "resolve", "report_path", "get_dir_files_as_list", "read_action_json", "locust_wrapper_proxy", "run_async_load",
    "AsyncRunHandle", "trend_runs", "calibrate_sla", "canary_verdict", "find_breaking_point", "LocustNotFoundException",
    "LoadDensityTestException", "LoadDensityTestJsonException", "LoadDensityTestExecuteException", "LoadDensityHTMLException",
    "LoadDensityGenerateJsonReportException", "XMLException", "XMLTypeException", "CallbackExecutorException",
]  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_documented_name_is_here(name: str) -> None:
    assert callable(getattr(loadflow, name))


@pytest.mark.parametrize("name", sorted({*OTHERS, *OLD_NAMES}))
def test_another_name_of_loaddensity_names_the_way_out(name: str) -> None:
    assert not hasattr(loadflow, name)
    with pytest.raises(AttributeError, match=re.escape(OLD_NAMES[name])):
        getattr(loadflow, name)
    with pytest.raises(ImportError, match=re.escape(OLD_NAMES[name])):
        exec(f"from loadflow import {name}")


@pytest.mark.parametrize("hint", sorted(set(OLD_NAMES.values())))
def test_what_a_way_out_names_is_here(hint: str) -> None:
    called = set(re.findall(r"\b([A-Za-z_]\w+)\(", hint)) - {"hits", "open", "getLogger"}
    assert not [name for name in called if not hasattr(loadflow, name)]
    classes = re.findall(r"class is (\w+)", hint)
    assert all(issubclass(getattr(loadflow, name), LoadflowError) for name in classes)
    assert set(re.findall(r"`loadflow ([a-z-]+)", hint)) <= set(COMMANDS)


def test_a_slip_is_answered_with_the_nearest_name_and_modules_are_found() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'sumary'; did you mean 'summary'"):
        loadflow.sumary  # noqa: B018
    assert importlib.import_module("loadflow.errors").LoadflowError is LoadflowError
    from loadflow import errors

    assert errors.ScriptError is loadflow.ScriptError
