"""Load tests as Prefect flows: JSON action scripts in; honest latency, records, reports and a verdict out.

>>> from loadflow import execute_action
>>> execute_action([["max", [3, 7, 5]]])["execute: ['max', [3, 7, 5]]"]
7

Each command is a function here, under its name without "LD_". Names are imported when they are first asked for, so that
`import loadflow` is quick and pulls in neither Prefect nor, ever, gevent or Locust: those live in the engine process alone.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loadflow.command_functions import *  # noqa: F403  # made by `make docs`
    from loadflow.engine.base.verdict import Verdict as Verdict
    from loadflow.engine.base.verdict import VerdictKind as VerdictKind
    from loadflow.engine.commands.installing import install_failure_budget as install_failure_budget
    from loadflow.engine.commands.installing import install_network_conditioner as install_network_conditioner
    from loadflow.engine.commands.installing import uninstall_failure_budget as uninstall_failure_budget
    from loadflow.engine.commands.installing import uninstall_network_conditioner as uninstall_network_conditioner
    from loadflow.engine.commands.ld_fetch_run_records import iter_run_records as iter_run_records
    from loadflow.engine.control.client import ControlClient as ControlClient
    from loadflow.engine.control.client import ControlError as ControlError
    from loadflow.engine.control.server import ControlServer as ControlServer
    from loadflow.engine.forked.orphans import ProcessSupervisor as ProcessSupervisor
    from loadflow.engine.forked.watchdog import with_watchdog as with_watchdog
    from loadflow.engine.load_test.user_types import add_user_type as add_user_type
    from loadflow.engine.plan.conditioner import NetworkConditioner as NetworkConditioner
    from loadflow.engine.protocols.model.message_step import MessageStep as MessageStep
    from loadflow.engine.protocols.model.step import StepBase as StepBase
    from loadflow.engine.protocols.model.user_type import Form as Form
    from loadflow.engine.protocols.model.user_type import UserType as UserType
    from loadflow.engine.protocols.running.message_reply import MessageReply as MessageReply
    from loadflow.engine.protocols.running.seam import Client as Client
    from loadflow.engine.protocols.running.seam import HitFailure as HitFailure
    from loadflow.engine.protocols.running.seam import PreparedStep as PreparedStep
    from loadflow.engine.protocols.running.seam import Reply as Reply
    from loadflow.engine.protocols.running.seam import UserContext as UserContext
    from loadflow.engine.protocols.running.seam import UserProtocol as UserProtocol
    from loadflow.engine.protocols.running.seam import Watch as Watch
    from loadflow.engine.records.outcome import Outcome as Outcome
    from loadflow.engine.records.run import Run as Run
    from loadflow.engine.records.summary import Summary as Summary
    from loadflow.engine.reliability.budget import FailureBudget as FailureBudget
    from loadflow.engine.reliability.classify import classify_error as classify_error
    from loadflow.engine.reliability.retry_policy import AdaptiveRetryPolicy as AdaptiveRetryPolicy
    from loadflow.engine.reliability.retry_policy import RetryDecision as RetryDecision
    from loadflow.engine.reliability.retry_policy import run_with_retry as run_with_retry
    from loadflow.engine.scenario.client import Answer as Answer
    from loadflow.engine.scenario.client import LoadClient as LoadClient
    from loadflow.engine.scenario.client import RequestFailed as RequestFailed
    from loadflow.engine.scenario.definition import ScenarioDef as ScenarioDef
    from loadflow.engine.scenario.definition import TaskDef as TaskDef
    from loadflow.engine.scenario.definition import VUser as VUser
    from loadflow.engine.scenario.definition import scenario as scenario
    from loadflow.engine.scenario.definition import task as task
    from loadflow.engine.scenario.values import csv as csv
    from loadflow.engine.scenario.values import fake as fake
    from loadflow.engine.scenario.values import now as now
    from loadflow.engine.scenario.values import rand as rand
    from loadflow.engine.scenario.values import rows as rows
    from loadflow.engine.scenario.values import sleep as sleep
    from loadflow.engine.scenario.values import uuid as uuid
    from loadflow.engine.session.execute import Results as Results
    from loadflow.engine.session.load_result import LoadResult as LoadResult
    from loadflow.engine.session.observer import Observer as Observer
    from loadflow.engine.session.own_commands import add_command_to_executor as add_command_to_executor
    from loadflow.engine.session.packages import allow_packages as allow_packages
    from loadflow.engine.session.session import Session as Session
    from loadflow.engine.session.session import current_session as current_session
    from loadflow.engine.session.session import use_session as use_session
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
    from loadflow.flows import flow_of as flow_of
    from loadflow.flows import load_of as load_of
    from loadflow.flows import loads_of as loads_of
    from loadflow.flows import results_of as results_of
    from loadflow.flows import same_verdict as same_verdict
    from loadflow.flows.run_script import run_script as run_script

_HOMES = {
    "loadflow.engine.base.verdict": ("Verdict", "VerdictKind"),
    "loadflow.engine.commands.installing": (
        "install_failure_budget",
        "install_network_conditioner",
        "uninstall_failure_budget",
        "uninstall_network_conditioner",
    ),
    "loadflow.engine.commands.ld_fetch_run_records": ("iter_run_records",),
    "loadflow.engine.control.client": ("ControlClient", "ControlError"),
    "loadflow.engine.control.server": ("ControlServer",),
    "loadflow.engine.forked.orphans": ("ProcessSupervisor",),
    "loadflow.engine.forked.watchdog": ("with_watchdog",),
    "loadflow.engine.load_test.user_types": ("add_user_type",),
    "loadflow.engine.plan.conditioner": ("NetworkConditioner",),
    "loadflow.engine.protocols.model.message_step": ("MessageStep",),
    "loadflow.engine.protocols.model.step": ("StepBase",),
    "loadflow.engine.protocols.model.user_type": ("Form", "UserType"),
    "loadflow.engine.protocols.running.message_reply": ("MessageReply",),
    "loadflow.engine.protocols.running.seam": ("Client", "HitFailure", "PreparedStep", "Reply", "UserContext", "UserProtocol", "Watch"),
    "loadflow.engine.records.outcome": ("Outcome",),
    "loadflow.engine.records.run": ("Run",),
    "loadflow.engine.records.summary": ("Summary",),
    "loadflow.engine.reliability.budget": ("FailureBudget",),
    "loadflow.engine.reliability.classify": ("classify_error",),
    "loadflow.engine.reliability.retry_policy": ("AdaptiveRetryPolicy", "RetryDecision", "run_with_retry"),
    "loadflow.engine.scenario.client": ("Answer", "LoadClient", "RequestFailed"),
    "loadflow.engine.scenario.definition": ("ScenarioDef", "TaskDef", "VUser", "scenario", "task"),
    "loadflow.engine.scenario.values": ("csv", "fake", "now", "rand", "rows", "sleep", "uuid"),
    "loadflow.engine.session.execute": ("Results",),
    "loadflow.engine.session.load_result": ("LoadResult",),
    "loadflow.engine.session.observer": ("Observer",),
    "loadflow.engine.session.own_commands": ("add_command_to_executor",),
    "loadflow.engine.session.packages": ("allow_packages",),
    "loadflow.engine.session.session": ("Session", "current_session", "use_session"),
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
    "loadflow.flows": ("NotPassed", "compile_script", "flow_of", "load_of", "loads_of", "results_of", "run_script", "same_verdict"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib import metadata

        return metadata.version("loadflow")
    if name == "__all__":
        return __dir__()
    home = _HOME_OF.get(name)
    if home is None and not name.startswith("_"):
        from loadflow.engine.session.table import TABLE

        if f"LD_{name}" in TABLE:
            return TABLE[f"LD_{name}"].function
    if home is None:
        from loadflow.old_names import OLD_NAMES, missing_name

        text = missing_name(name, __dir__())
        # Python replaces an AttributeError of `from loadflow import NAME` by a text of its own, without the way out
        if name in OLD_NAMES and sys._getframe(1).f_code.co_name == "_handle_fromlist":
            raise ImportError(text, name=__name__)
        raise AttributeError(text)
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    from loadflow.engine.session.table import TABLE

    return sorted({*_HOME_OF, *(name.removeprefix("LD_") for name in TABLE), "__version__"})
