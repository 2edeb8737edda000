"""The table of LD_* commands: one entry each, from which tasks, docs and `loadflow commands` are made."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from loadflow.engine import execute, registering, reporting
from loadflow.engine.command import Command, Policy
from loadflow.engine.load.start import start_test
from loadflow.engine.recording.convert import har_to_action_json, har_to_tasks
from loadflow.engine.recording.har_file import load_har
from loadflow.engine.script.model import StartTest
from loadflow.engine.session import current_session
from loadflow.errors import CommandError, Mistake

__all__ = ["TABLE", "add_command_to_executor"]

QUICK = Policy(timeout_seconds=60)
FILES = Policy(retries=2, retry_delay_seconds=1, timeout_seconds=300)  # writes by rename: doing it twice is doing it once
LOAD = Policy(retries=0, retry_safe=False)
NESTED = Policy(retries=0, retry_safe=False)

TABLE: Mapping[str, Command] = {
    command.name: command
    for command in (
        Command("LD_start_test", start_test, "Run a load test and return its summary.", LOAD, StartTest, loads=True),
        Command("LD_execute_action", execute.execute_action, "Run a nested list of actions.", NESTED, nested="actions"),
        Command("LD_execute_files", execute.execute_files, "Run script files, one after the other.", NESTED, nested="files"),
        Command("LD_summary", reporting.summary, "The summary of the runs so far.", QUICK),
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
        Command("LD_register_variable", registering.register_variable, "Set one ${var.NAME}.", QUICK),
        Command("LD_register_variables", registering.register_variables, "Set many ${var.NAME}.", QUICK),
        Command("LD_register_csv_source", registering.register_csv_source, "Bind a CSV file to ${csv.NAME.COLUMN}.", QUICK),
        Command("LD_register_csv_sources", registering.register_csv_sources, "Bind several CSV files.", QUICK),
        Command("LD_clear_resolver", registering.clear_resolver, "Forget all variables and CSV sources.", QUICK),
        Command("LD_load_har", load_har, "A HAR file as JSON.", FILES),
        Command("LD_har_to_tasks", har_to_tasks, "The steps that play a HAR again.", FILES),
        Command("LD_har_to_action_json", har_to_action_json, "The action script that plays a HAR again.", FILES),
    )
}


def add_command_to_executor(command_dict: Mapping[str, Callable[..., Any]]) -> None:
    """Make own functions callable from the current session's scripts, and tasks of its flows.

    All are added or none. Raises CommandError for a value that can't be called, whose signature can't be read, or for a
    name that loadflow's own commands have.

    >>> add_command_to_executor({"LD_slack_notify": lambda message: None})
    """
    session = current_session()
    builtin = set(session.commands) - set(session.own_commands)
    mistakes = []
    for name, function in command_dict.items():
        if name in builtin:
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
