"""The table of LD_* commands: one entry each, from which tasks, docs and `loadflow commands` are made."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from loadflow.engine import comparing, execute, exporting, recordings, registering, reporting, sla, storing
from loadflow.engine.command import Command, Policy
from loadflow.engine.control.starting import start_socket_server
from loadflow.engine.load.start import start_test
from loadflow.engine.packages import ADD_PACKAGE, add_package_to_executor
from loadflow.engine.reliability import installing
from loadflow.engine.script.builtin_functions import is_blocked
from loadflow.engine.script.exporters import StartInfluxdbSink, StartOpentelemetryExporter, StartPrometheusExporter
from loadflow.engine.script.model import StartTest
from loadflow.engine.script.reliability import InstallFailureBudget, InstallNetworkConditioner
from loadflow.engine.session import current_session
from loadflow.errors import CommandError, Mistake

__all__ = ["TABLE", "add_command_to_executor"]

QUICK = Policy(timeout_seconds=60)
FILES = Policy(retries=2, retry_delay_seconds=1, timeout_seconds=300)  # writes by rename: doing it twice is doing it once
STORE = Policy(retries=3, retry_delay_seconds=2, timeout_seconds=600)  # a run is stored once, however often it is asked for
ASSERTION = Policy(timeout_seconds=60, retry_safe=False)  # the numbers do not change
COMPARISON = Policy(timeout_seconds=600, retry_safe=False)  # nor do those of kept runs
LOAD = Policy(retries=0, retry_safe=False)
NESTED = Policy(retries=0, retry_safe=False)
SERVER = Policy(timeout_seconds=60, retry_safe=False)

TABLE: Mapping[str, Command] = {
    command.name: command
    for command in (
        Command("LD_start_test", start_test, "Run a load test and return its summary.", LOAD, StartTest, loads=True),
        Command("LD_execute_action", execute.execute_action, "Run a nested list of actions.", NESTED, nested="actions"),
        Command("LD_execute_files", execute.execute_files, "Run script files, one after the other.", NESTED, nested="files"),
        Command(ADD_PACKAGE, add_package_to_executor, "Make an allowed package's functions commands; returns their names.", QUICK),
        Command("LD_start_socket_server", start_socket_server, "Start the control plane, for as long as the script runs.", SERVER),
        Command("LD_summary", reporting.summary, "The summary of the runs so far.", QUICK),
        Command("LD_evaluate_sla", sla.evaluate_sla, "Hold thresholds against the runs so far; fails nothing.", QUICK, sla.Sla),
        Command("LD_assert_sla", sla.assert_sla, "The same, and fail the script unless all hold.", ASSERTION, sla.Sla),
        Command("LD_clear_records", reporting.clear_records, "Let later summaries and reports start from nothing.", QUICK),
        Command("LD_generate_html", reporting.generate_html, "The HTML report as text.", FILES),
        Command("LD_generate_html_report", reporting.generate_html_report, "Write the HTML report; returns its path.", FILES),
        Command("LD_generate_json", reporting.generate_json, "Every hit as a record: successes, failures.", FILES),
        Command(
            "LD_generate_json_report", reporting.generate_json_report, "Write successes and failures as JSON; returns both paths.", FILES
        ),
        Command("LD_generate_xml", reporting.generate_xml, "Every hit as a record in XML: successes, failures.", FILES),
        Command("LD_generate_xml_report", reporting.generate_xml_report, "Write successes and failures as XML; returns both paths.", FILES),
        Command("LD_generate_csv_report", reporting.generate_csv_report, "Write every hit as a line of CSV; returns its path.", FILES),
        Command("LD_generate_junit_report", reporting.generate_junit_report, "Write test results for CI servers; returns its path.", FILES),
        Command("LD_generate_summary_report", reporting.generate_summary_report, "Write the summary as JSON; returns its path.", FILES),
        Command("LD_persist_records", storing.persist_records, "Store the runs so far in a database; returns the run's id.", STORE),
        Command("LD_list_runs", storing.list_runs, "The runs stored last, newest first.", STORE),
        Command("LD_fetch_run_records", storing.fetch_run_records, "The hits of a stored run, filtered and paged.", STORE),
        Command("LD_diff_runs", comparing.diff_runs, "Compare two kept runs: better, worse, same or unclear.", COMPARISON),
        Command("LD_register_variable", registering.register_variable, "Set one ${var.NAME}.", QUICK),
        Command("LD_register_variables", registering.register_variables, "Set many ${var.NAME}.", QUICK),
        Command("LD_register_csv_source", registering.register_csv_source, "Bind a CSV file to ${csv.NAME.COLUMN}.", QUICK),
        Command("LD_register_csv_sources", registering.register_csv_sources, "Bind several CSV files.", QUICK),
        Command("LD_clear_resolver", registering.clear_resolver, "Forget all variables and CSV sources.", QUICK),
        Command(
            "LD_install_failure_budget",
            installing.ld_install_failure_budget,
            "End later loads early, as failed, when too many of their hits fail.",
            QUICK,
            InstallFailureBudget,
        ),
        Command("LD_uninstall_failure_budget", installing.ld_uninstall_failure_budget, "Let later loads run without a budget.", QUICK),
        Command(
            "LD_install_network_conditioner",
            installing.ld_install_network_conditioner,
            "Add latency, jitter and loss to later loads.",
            QUICK,
            InstallNetworkConditioner,
        ),
        Command(
            "LD_uninstall_network_conditioner",
            installing.ld_uninstall_network_conditioner,
            "Let later loads use the network as it is.",
            QUICK,
        ),
        Command(
            "LD_start_prometheus_exporter",
            exporting.start_prometheus_exporter,
            "Serve the counts of later loads to Prometheus; returns the port.",
            SERVER,
            StartPrometheusExporter,
            secrets=frozenset({"push_headers"}),
        ),
        Command("LD_stop_prometheus_exporter", exporting.stop_prometheus_exporter, "Stop serving Prometheus.", QUICK),
        Command(
            "LD_start_influxdb_sink",
            exporting.start_influxdb_sink,
            "Write the counts of later loads to InfluxDB.",
            SERVER,
            StartInfluxdbSink,
        ),
        Command("LD_stop_influxdb_sink", exporting.stop_influxdb_sink, "Write what is waiting, and stop writing to InfluxDB.", QUICK),
        Command(
            "LD_start_opentelemetry_exporter",
            exporting.start_opentelemetry_exporter,
            "Export the counts of later loads as OTLP metrics.",
            SERVER,
            StartOpentelemetryExporter,
            secrets=frozenset({"headers"}),
        ),
        Command("LD_stop_opentelemetry_exporter", exporting.stop_opentelemetry_exporter, "Export OTLP metrics once more, and stop.", QUICK),
        Command("LD_load_har", recordings.load_har, "A HAR file as JSON.", FILES),
        Command("LD_har_to_tasks", recordings.har_to_tasks, "The steps that play a HAR again.", FILES),
        Command("LD_har_to_action_json", recordings.har_to_action_json, "The action script that plays a HAR again.", FILES),
    )
}


def add_command_to_executor(command_dict: Mapping[str, Callable[..., Any]]) -> None:
    """Make own functions callable from the current session's scripts, and tasks of its flows.

    All are added or none. Raises CommandError for a value that can't be called, whose signature can't be read, or for a
    name that loadflow's own commands have or that no script may use. An own command of the same name is replaced.

    >>> add_command_to_executor({"LD_slack_notify": lambda message: None})
    """
    session = current_session()
    builtin = set(session.commands) - set(session.own_commands)
    mistakes = []
    for name, function in command_dict.items():
        if not isinstance(name, str) or not name.strip() or is_blocked(name):
            mistakes.append(
                Mistake(repr(name), "can't be the name of a command", "use a word that scripts may write, such as LD_slack_notify")
            )
        elif name in builtin:
            mistakes.append(Mistake(name, "is a command already", "give yours another name"))
        elif not callable(function):
            mistakes.append(Mistake(name, f"{type(function).__name__} can't be called", "give a function or another callable"))
        elif (trouble := _signature_trouble(function)) is not None:
            mistakes.append(Mistake(name, f"its signature can't be read ({trouble})", "wrap it in a function with named parameters"))
    if mistakes:
        raise CommandError(mistakes)
    for name, function in command_dict.items():
        first_line = (inspect.getdoc(function) or "").split("\n", 1)[0]
        session.own_commands[name] = Command(name, function, first_line or "An own command.", Policy(retry_safe=False))


def _signature_trouble(function: Callable[..., Any]) -> str | None:
    try:
        inspect.signature(function)
    except (TypeError, ValueError) as error:
        return str(error)
    return None
