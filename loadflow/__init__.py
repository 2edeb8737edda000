"""Load tests as Prefect flows: JSON action scripts in; honest latency, records, reports and a verdict out.

>>> from loadflow import execute_action
>>> execute_action([["max", [3, 7, 5]]])["execute: ['max', [3, 7, 5]]"]
7

Names are imported when they are first asked for, so that `import loadflow` is quick and pulls in neither Prefect nor, ever,
gevent or Locust: those live in the engine process alone.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loadflow.engine.commands import add_command_to_executor as add_command_to_executor
    from loadflow.engine.comparing import diff_runs as diff_runs
    from loadflow.engine.control.client import ControlClient as ControlClient
    from loadflow.engine.control.client import ControlError as ControlError
    from loadflow.engine.control.server import ControlServer as ControlServer
    from loadflow.engine.control.starting import start_socket_server as start_socket_server
    from loadflow.engine.execute import Results as Results
    from loadflow.engine.execute import execute_action as execute_action
    from loadflow.engine.execute import execute_files as execute_files
    from loadflow.engine.exporting import start_influxdb_sink as start_influxdb_sink
    from loadflow.engine.exporting import start_opentelemetry_exporter as start_opentelemetry_exporter
    from loadflow.engine.exporting import start_prometheus_exporter as start_prometheus_exporter
    from loadflow.engine.exporting import stop_influxdb_sink as stop_influxdb_sink
    from loadflow.engine.exporting import stop_opentelemetry_exporter as stop_opentelemetry_exporter
    from loadflow.engine.exporting import stop_prometheus_exporter as stop_prometheus_exporter
    from loadflow.engine.load.message_reply import MessageReply as MessageReply
    from loadflow.engine.load.protocol import Client as Client
    from loadflow.engine.load.protocol import HitFailure as HitFailure
    from loadflow.engine.load.protocol import PreparedStep as PreparedStep
    from loadflow.engine.load.protocol import Reply as Reply
    from loadflow.engine.load.protocol import UserContext as UserContext
    from loadflow.engine.load.protocol import UserProtocol as UserProtocol
    from loadflow.engine.load.protocol import Watch as Watch
    from loadflow.engine.load.start import start_test as start_test
    from loadflow.engine.packages import add_package_to_executor as add_package_to_executor
    from loadflow.engine.packages import allow_packages as allow_packages
    from loadflow.engine.recordings import har_to_action_json as har_to_action_json
    from loadflow.engine.recordings import har_to_tasks as har_to_tasks
    from loadflow.engine.recordings import load_har as load_har
    from loadflow.engine.records.outcome import Outcome as Outcome
    from loadflow.engine.records.run import Run as Run
    from loadflow.engine.records.summary import Summary as Summary
    from loadflow.engine.registering import clear_resolver as clear_resolver
    from loadflow.engine.registering import register_csv_source as register_csv_source
    from loadflow.engine.registering import register_csv_sources as register_csv_sources
    from loadflow.engine.registering import register_variable as register_variable
    from loadflow.engine.registering import register_variables as register_variables
    from loadflow.engine.reliability.budget import FailureBudget as FailureBudget
    from loadflow.engine.reliability.classify import classify_error as classify_error
    from loadflow.engine.reliability.conditioner import NetworkConditioner as NetworkConditioner
    from loadflow.engine.reliability.installing import install_failure_budget as install_failure_budget
    from loadflow.engine.reliability.installing import install_network_conditioner as install_network_conditioner
    from loadflow.engine.reliability.installing import uninstall_failure_budget as uninstall_failure_budget
    from loadflow.engine.reliability.installing import uninstall_network_conditioner as uninstall_network_conditioner
    from loadflow.engine.reliability.orphans import ProcessSupervisor as ProcessSupervisor
    from loadflow.engine.reliability.retry_policy import AdaptiveRetryPolicy as AdaptiveRetryPolicy
    from loadflow.engine.reliability.retry_policy import RetryDecision as RetryDecision
    from loadflow.engine.reliability.retry_policy import run_with_retry as run_with_retry
    from loadflow.engine.reliability.watchdog import with_watchdog as with_watchdog
    from loadflow.engine.reporting import clear_records as clear_records
    from loadflow.engine.reporting import generate_csv_report as generate_csv_report
    from loadflow.engine.reporting import generate_html as generate_html
    from loadflow.engine.reporting import generate_html_report as generate_html_report
    from loadflow.engine.reporting import generate_json as generate_json
    from loadflow.engine.reporting import generate_json_report as generate_json_report
    from loadflow.engine.reporting import generate_junit_report as generate_junit_report
    from loadflow.engine.reporting import generate_summary_report as generate_summary_report
    from loadflow.engine.reporting import generate_xml as generate_xml
    from loadflow.engine.reporting import generate_xml_report as generate_xml_report
    from loadflow.engine.reporting import summary as summary
    from loadflow.engine.script.message_step import MessageStep as MessageStep
    from loadflow.engine.script.step import StepBase as StepBase
    from loadflow.engine.script.user_type import Form as Form
    from loadflow.engine.script.user_type import UserType as UserType
    from loadflow.engine.script.user_types import add_user_type as add_user_type
    from loadflow.engine.session import Observer as Observer
    from loadflow.engine.session import Session as Session
    from loadflow.engine.session import current_session as current_session
    from loadflow.engine.session import use_session as use_session
    from loadflow.engine.sla import assert_sla as assert_sla
    from loadflow.engine.sla import evaluate_sla as evaluate_sla
    from loadflow.engine.storing import fetch_run_records as fetch_run_records
    from loadflow.engine.storing import iter_run_records as iter_run_records
    from loadflow.engine.storing import list_runs as list_runs
    from loadflow.engine.storing import persist_records as persist_records
    from loadflow.engine.verdict import Verdict as Verdict
    from loadflow.engine.verdict import VerdictKind as VerdictKind
    from loadflow.errors import CircuitOpenError as CircuitOpenError
    from loadflow.errors import CommandError as CommandError
    from loadflow.errors import EngineError as EngineError
    from loadflow.errors import Interrupted as Interrupted
    from loadflow.errors import LoadflowError as LoadflowError
    from loadflow.errors import RunError as RunError
    from loadflow.errors import ScriptError as ScriptError
    from loadflow.errors import ThresholdsNotMet as ThresholdsNotMet
    from loadflow.errors import WatchdogTimeout as WatchdogTimeout
    from loadflow.flows import NotPassed as NotPassed
    from loadflow.flows import compile_script as compile_script
    from loadflow.flows import results_of as results_of
    from loadflow.flows.run_script import run_script as run_script

_HOMES = {
    "loadflow.engine.commands": ("add_command_to_executor",),
    "loadflow.engine.comparing": ("diff_runs",),
    "loadflow.engine.control.client": ("ControlClient", "ControlError"),
    "loadflow.engine.control.server": ("ControlServer",),
    "loadflow.engine.control.starting": ("start_socket_server",),
    "loadflow.engine.execute": ("Results", "execute_action", "execute_files"),
    "loadflow.engine.exporting": (
        "start_influxdb_sink",
        "start_opentelemetry_exporter",
        "start_prometheus_exporter",
        "stop_influxdb_sink",
        "stop_opentelemetry_exporter",
        "stop_prometheus_exporter",
    ),
    "loadflow.engine.load.message_reply": ("MessageReply",),
    "loadflow.engine.load.protocol": (
        "Client",
        "HitFailure",
        "PreparedStep",
        "Reply",
        "UserContext",
        "UserProtocol",
        "Watch",
    ),
    "loadflow.engine.records.outcome": ("Outcome",),
    "loadflow.engine.script.message_step": ("MessageStep",),
    "loadflow.engine.script.step": ("StepBase",),
    "loadflow.engine.script.user_type": (
        "Form",
        "UserType",
    ),
    "loadflow.engine.script.user_types": ("add_user_type",),
    "loadflow.engine.load.start": ("start_test",),
    "loadflow.engine.packages": ("add_package_to_executor", "allow_packages"),
    "loadflow.engine.recordings": ("har_to_action_json", "har_to_tasks", "load_har"),
    "loadflow.engine.records.run": ("Run",),
    "loadflow.engine.records.summary": ("Summary",),
    "loadflow.engine.registering": (
        "clear_resolver",
        "register_csv_source",
        "register_csv_sources",
        "register_variable",
        "register_variables",
    ),
    "loadflow.engine.reliability.budget": ("FailureBudget",),
    "loadflow.engine.reliability.classify": ("classify_error",),
    "loadflow.engine.reliability.conditioner": ("NetworkConditioner",),
    "loadflow.engine.reliability.installing": (
        "install_failure_budget",
        "install_network_conditioner",
        "uninstall_failure_budget",
        "uninstall_network_conditioner",
    ),
    "loadflow.engine.reliability.orphans": ("ProcessSupervisor",),
    "loadflow.engine.reliability.retry_policy": ("AdaptiveRetryPolicy", "RetryDecision", "run_with_retry"),
    "loadflow.engine.reliability.watchdog": ("with_watchdog",),
    "loadflow.engine.reporting": (
        "clear_records",
        "generate_csv_report",
        "generate_html",
        "generate_html_report",
        "generate_json",
        "generate_json_report",
        "generate_junit_report",
        "generate_summary_report",
        "generate_xml",
        "generate_xml_report",
        "summary",
    ),
    "loadflow.engine.session": ("Observer", "Session", "current_session", "use_session"),
    "loadflow.engine.sla": ("assert_sla", "evaluate_sla"),
    "loadflow.engine.storing": ("fetch_run_records", "iter_run_records", "list_runs", "persist_records"),
    "loadflow.engine.verdict": ("Verdict", "VerdictKind"),
    "loadflow.errors": (
        "CircuitOpenError",
        "CommandError",
        "EngineError",
        "Interrupted",
        "LoadflowError",
        "RunError",
        "ScriptError",
        "ThresholdsNotMet",
        "WatchdogTimeout",
    ),
    "loadflow.flows": ("NotPassed", "compile_script", "results_of", "run_script"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted([*_HOME_OF, "__version__"])


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib import metadata

        return metadata.version("loadflow")
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'loadflow' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return __all__
