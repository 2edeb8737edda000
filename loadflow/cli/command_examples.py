"""What each command gives back, and an action that calls it: for docs/commands.md and `loadflow commands`.

A test checks that every command of the table is here, and that every example is an action that may be run as written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["EXAMPLES", "Example"]


@dataclass(frozen=True, slots=True)
class Example:
    """`result` in words, as JSON values; `action` as it stands in a script."""

    result: str
    action: list[Any]


TEST = {
    "user_detail_dict": {"user": "fast_http_user"},
    "user_count": 20,
    "test_time": 30,
    "tasks": [{"method": "get", "request_url": "http://127.0.0.1:8000/health"}],
}

EXAMPLES: Mapping[str, Example] = {
    "LD_start_test": Example("object: the summary, and `run_dir`", ["LD_start_test", TEST]),
    "LD_execute_action": Example("the results of the nested script", ["LD_execute_action", {"action_list": [["LD_summary"]]}]),
    "LD_execute_files": Example(
        "list: the results of each file", ["LD_execute_files", {"execute_files_list": ["warmup.json", "main.json"]}]
    ),
    "LD_add_package_to_executor": Example("list of the names registered", ["LD_add_package_to_executor", {"package": "our_checks"}]),
    "LD_start_socket_server": Example("object: host, port, framed, tls", ["LD_start_socket_server", {"port": 0, "framed": True}]),
    "LD_summary": Example("object: the summary", ["LD_summary"]),
    "LD_evaluate_sla": Example(
        "object: passed, state, results", ["LD_evaluate_sla", {"rules": ["p95 < 500", {"expr": "failure_rate < 1%", "name": "pay"}]}]
    ),
    "LD_assert_sla": Example("object: passed, state, results", ["LD_assert_sla", {"rules": ["p95 < 500 ms", "rate > 100"]}]),
    "LD_clear_records": Example('`{"status": "cleared"}`', ["LD_clear_records"]),
    "LD_generate_html": Example("text: the page", ["LD_generate_html"]),
    "LD_generate_html_report": Example("text: the path", ["LD_generate_html_report", {"html_name": "nightly"}]),
    "LD_generate_json": Example("list: successes, failures", ["LD_generate_json"]),
    "LD_generate_json_report": Example("list: both paths", ["LD_generate_json_report", {"json_file_name": "nightly"}]),
    "LD_generate_xml": Example("list: successes, failures, as text", ["LD_generate_xml"]),
    "LD_generate_xml_report": Example("list: both paths", ["LD_generate_xml_report", {"xml_file_name": "nightly"}]),
    "LD_generate_csv_report": Example("text: the path", ["LD_generate_csv_report", {"csv_name": "nightly"}]),
    "LD_generate_junit_report": Example("text: the path", ["LD_generate_junit_report", {"report_name": "nightly-junit"}]),
    "LD_generate_summary_report": Example("text: the path", ["LD_generate_summary_report", {"report_name": "nightly"}]),
    "LD_persist_records": Example(
        "number: the run's id; a list of ids for several runs", ["LD_persist_records", {"database_path": "runs.db", "label": "nightly"}]
    ),
    "LD_list_runs": Example("list of objects", ["LD_list_runs", {"database_path": "runs.db", "limit": 5}]),
    "LD_fetch_run_records": Example(
        "list of objects", ["LD_fetch_run_records", {"database_path": "runs.db", "run_id": 1, "outcome": "failure", "limit": 100}]
    ),
    "LD_diff_runs": Example(
        "object: verdict, overall, names, each change with its interval",
        ["LD_diff_runs", {"baseline": "previous", "current": "latest", "fail_on_worse": True, "allow_first": True}],
    ),
    "LD_register_variable": Example("null", ["LD_register_variable", {"name": "base", "value": "http://127.0.0.1:8000"}]),
    "LD_register_variables": Example("null", ["LD_register_variables", {"variables": {"base": "http://127.0.0.1:8000", "users": 20}}]),
    "LD_register_csv_source": Example("null", ["LD_register_csv_source", {"name": "users", "file_path": "users.csv", "mode": "once"}]),
    "LD_register_csv_sources": Example("null", ["LD_register_csv_sources", {"sources": [{"name": "users", "file_path": "users.csv"}]}]),
    "LD_clear_resolver": Example('`{"status": "cleared"}`', ["LD_clear_resolver"]),
    "LD_load_har": Example("object: the recording", ["LD_load_har", {"file_path": "checkout.har"}]),
    "LD_har_to_tasks": Example("list of steps", ["LD_har_to_tasks", {"har": "checkout.har", "exclude": ["\\.png$"]}]),
    "LD_har_to_action_json": Example("object: a script", ["LD_har_to_action_json", {"har": "checkout.har", "user_count": 5}]),
    "LD_install_failure_budget": Example(
        "object: status and settings", ["LD_install_failure_budget", {"threshold": 0.05, "window_seconds": 30}]
    ),
    "LD_uninstall_failure_budget": Example('`{"status": "uninstalled"}`', ["LD_uninstall_failure_budget"]),
    "LD_install_network_conditioner": Example(
        "object: status and settings", ["LD_install_network_conditioner", {"latency_ms": 50, "jitter_ms": 20, "loss_rate": 0.01}]
    ),
    "LD_uninstall_network_conditioner": Example('`{"status": "uninstalled"}`', ["LD_uninstall_network_conditioner"]),
    "LD_start_prometheus_exporter": Example("number: the port", ["LD_start_prometheus_exporter", {"port": 9646}]),
    "LD_stop_prometheus_exporter": Example("object: status, and how often it was scraped", ["LD_stop_prometheus_exporter"]),
    "LD_start_influxdb_sink": Example(
        "null", ["LD_start_influxdb_sink", {"transport": "http", "url": "http://127.0.0.1:8086/write?db=load"}]
    ),
    "LD_stop_influxdb_sink": Example("object: status, points written and dropped", ["LD_stop_influxdb_sink"]),
    "LD_start_opentelemetry_exporter": Example("true", ["LD_start_opentelemetry_exporter", {"endpoint": "http://127.0.0.1:4317"}]),
    "LD_stop_opentelemetry_exporter": Example("object: status, exports, failed ones", ["LD_stop_opentelemetry_exporter"]),
}
