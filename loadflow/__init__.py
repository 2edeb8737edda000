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
    from loadflow.engine.execute import Results as Results
    from loadflow.engine.execute import execute_action as execute_action
    from loadflow.engine.execute import execute_files as execute_files
    from loadflow.engine.load.start import start_test as start_test
    from loadflow.engine.recording.convert import har_to_action_json as har_to_action_json
    from loadflow.engine.recording.convert import har_to_tasks as har_to_tasks
    from loadflow.engine.recording.har_file import load_har as load_har
    from loadflow.engine.records.run import Run as Run
    from loadflow.engine.records.summary import Summary as Summary
    from loadflow.engine.registering import clear_resolver as clear_resolver
    from loadflow.engine.registering import register_csv_source as register_csv_source
    from loadflow.engine.registering import register_csv_sources as register_csv_sources
    from loadflow.engine.registering import register_variable as register_variable
    from loadflow.engine.registering import register_variables as register_variables
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
    from loadflow.engine.session import Observer as Observer
    from loadflow.engine.session import Session as Session
    from loadflow.engine.session import current_session as current_session
    from loadflow.engine.session import use_session as use_session
    from loadflow.engine.verdict import Verdict as Verdict
    from loadflow.engine.verdict import VerdictKind as VerdictKind
    from loadflow.errors import CommandError as CommandError
    from loadflow.errors import EngineError as EngineError
    from loadflow.errors import Interrupted as Interrupted
    from loadflow.errors import LoadflowError as LoadflowError
    from loadflow.errors import RunError as RunError
    from loadflow.errors import ScriptError as ScriptError
    from loadflow.flows import NotPassed as NotPassed
    from loadflow.flows import compile_script as compile_script
    from loadflow.flows import results_of as results_of
    from loadflow.flows.run_script import run_script as run_script

_HOMES = {
    "loadflow.engine.commands": ("add_command_to_executor",),
    "loadflow.engine.execute": ("Results", "execute_action", "execute_files"),
    "loadflow.engine.load.start": ("start_test",),
    "loadflow.engine.recording.convert": ("har_to_action_json", "har_to_tasks"),
    "loadflow.engine.recording.har_file": ("load_har",),
    "loadflow.engine.records.run": ("Run",),
    "loadflow.engine.records.summary": ("Summary",),
    "loadflow.engine.registering": (
        "clear_resolver",
        "register_csv_source",
        "register_csv_sources",
        "register_variable",
        "register_variables",
    ),
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
    "loadflow.engine.verdict": ("Verdict", "VerdictKind"),
    "loadflow.errors": ("CommandError", "EngineError", "Interrupted", "LoadflowError", "RunError", "ScriptError"),
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
