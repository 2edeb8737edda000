"""Compiles a script into a Prefect flow: one task run per action, in order; nested scripts are subflows."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from prefect import Flow, get_run_logger
from prefect.context import FlowRunContext
from prefect.utilities.urls import url_for

from loadflow.engine.base.redact import Redactor
from loadflow.engine.records.run import Run
from loadflow.engine.records.summing import summary_of
from loadflow.engine.reports.page import line_of
from loadflow.engine.scenario.document import read_scenario
from loadflow.engine.script.arguments import FILES, NESTED, bind
from loadflow.engine.script.command import Command, Policy
from loadflow.engine.script.document import Action, Script, read_script
from loadflow.engine.script.json_text import load_json
from loadflow.engine.session.checking import Checking
from loadflow.engine.session.execute import Results, load_script, run_actions
from loadflow.engine.session.masking import redactor_of
from loadflow.engine.session.session import Session, at_once, current_session, use_session
from loadflow.errors import Interrupted, ScriptError
from loadflow.flows.artifacts import linked
from loadflow.flows.asking import ask_prefect
from loadflow.flows.blocks import prefect_secret
from loadflow.flows.console import outlive_console
from loadflow.flows.embedded import guard_embedded_server
from loadflow.flows.ending import interrupted_state, results_of, state_of
from loadflow.flows.observer import FlowObserver
from loadflow.flows.parts import as_task
from loadflow.flows.pool import agents_in_pool
from loadflow.flows.script_flow import ScriptFlow, keeps
from loadflow.flows.started_by import started_by
from loadflow.flows.uploads import Storage
from loadflow.tasks import task_for
from loadflow.tasks.factory import value_of
from loadflow.tasks.masking import VisibleLogger
from loadflow.tasks.state import AnyState

__all__ = ["checked_script", "compile_script", "run_compiled", "run_in_flow"]

# Prefect refuses these in the name of a flow
BANNED = re.compile(r"[/%&<>]+")


def compile_script(script: object, *, session: Session | None = None, name: str | None = None) -> Flow[[], Any]:
    """A flow that runs `script`, named after it.

    `script`: a Script, a document (a list or a mapping), JSON text of one, or the path of a file. Raises ScriptError with
    every mistake in it. Each call of the flow runs in `session`; None: in a new one for each call, which knows the own
    commands and the allowed packages of the session that is current now, and nothing else of it.

    Called, the flow returns its `Results` when the verdict is passed, and raises NotPassed (which holds them) or Interrupted
    when it is not; `results_of(flow(return_state=True))` gives the results of both.

    >>> compile_script([["len", ["four"]]], name="count")()["execute: ['len', ['four']]"]  # doctest: +SKIP
    4
    """
    own_commands = dict(current_session().own_commands)
    allowed = frozenset(current_session().allowed_packages)
    checked = checked_script(script, session or Session(own_commands=own_commands, allowed_packages=allowed), name or "")

    @keeps
    def run() -> AnyState:
        return run_in_flow(checked, session or Session(name=checked.name, own_commands=own_commands, allowed_packages=allowed))

    return _flow_of(run, checked, session or Session(), name or checked.name)


def run_compiled(script: Script, session: Session) -> Results:
    """Run a checked script as a flow run in `session` and return its results, whatever the verdict; raises what ended it early."""

    @keeps
    def run() -> AnyState:
        return run_in_flow(script, session)

    return results_of(_flow_of(run, script, session, script.name)(return_state=True))


def checked_script(script: object, session: Session, name: str = "") -> Script:
    """Read and check whatever `compile_script` takes."""
    if isinstance(script, Script):
        return script
    if isinstance(script, str) and script.lstrip("\ufeff \t\r\n").startswith(("[", "{")):
        document, mistakes = load_json(script)
        if mistakes:
            raise ScriptError(mistakes)
        return load_script(document, session=session, name=name)
    if isinstance(script, str | Path) and is_scenario(script):
        return load_script(read_scenario(script), session=session, source=str(script), name=name or Path(script).stem)
    if isinstance(script, str | Path):
        return load_script(read_script(script), session=session, source=str(script), name=name or Path(script).stem)
    return load_script(script, session=session, name=name)


def run_in_flow(script: Script, session: Session, storage: Storage | None = None) -> AnyState:
    """Run the script's actions as tasks of the flow run that this is called in; returns its final state. `storage` gets the reports."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise RuntimeError("run_in_flow works inside of a flow run only; compile_script makes a flow")
    session.flow_run_url = url_for("flow-run", obj_id=context.flow_run.id, url_type="ui") or ""
    session.started_by = started_by(context.flow_run)
    outlive_console()
    guard_embedded_server()
    observer = FlowObserver(VisibleLogger(get_run_logger()), storage)
    session.observers.append(observer)
    session.usual_secrets = prefect_secret
    session.ask_prefect, session.as_task = ask_prefect, as_task
    session.pool = partial(agents_in_pool, logger=VisibleLogger(get_run_logger()))
    try:
        with use_session(session):
            return _ScriptRun(session, observer).run(script)
    finally:
        session.observers.remove(observer)
        session.pool = session.ask_prefect = None
        session.as_task = at_once


def is_scenario(path: str | Path) -> bool:
    """Whether this is FILE.py or FILE.py:CLASS."""
    file, separator, name = str(path).rpartition(":")
    return str(path).endswith(".py") or (bool(separator) and file.endswith(".py") and name.isidentifier())


class _ScriptRun:
    """One script and all that are nested in it, in one session."""

    def __init__(self, session: Session, observer: FlowObserver) -> None:
        self._session = session
        self._observer = observer

    def run(self, script: Script) -> AnyState:
        """Also the body of each subflow."""
        context = FlowRunContext.get()
        assert context is not None
        assert context.flow_run is not None
        redactor = _redactor(self._session, script)
        first_run = len(self._session.all_runs)
        with self._observer.also(context.flow_run.id), self._session.in_flow_run(str(context.flow_run.id)):
            try:
                results = run_actions(script, self._session, lambda *of: self._run_one(script, *of))
            except Interrupted as error:
                if error.results is not None:
                    self._link(error.results, first_run)
                return interrupted_state(error, redactor, cancelled=self._observer.cancelled)
        runs = self._link(results, first_run)
        return state_of(results, redactor, line_of(summary_of(runs)) if runs else "", loads=len(runs))

    def _link(self, results: Results, first_run: int) -> Sequence[Run]:
        """Say in the loads where their reports open; returns their runs."""
        runs = self._session.all_runs[first_run:]
        results.loads = [linked(load, run) for load, run in zip(results.loads, runs, strict=True)]
        return runs

    def _run_one(self, script: Script, position: int, action: Action, command: Command, policy: Policy) -> object:
        if command.nested is None:
            return value_of(task_for(command, policy, position, action)(return_state=True))
        given = bind(command, action.arguments).values[NESTED if command.nested == "actions" else FILES]
        number = f"{position + 1:02}"
        if command.nested == "actions":
            nested = load_script(given, session=self._session, name=f"{script.name} {number}")
            return self._subflow(nested, f"{number} {action.name}", policy)
        # all are checked before the first one runs
        checking = Checking(self._session)
        files = [checking.file(path, name=Path(path).stem) for path in given]
        return [self._subflow(nested, f"{number} {nested.name}", policy) for nested in files]

    def _subflow(self, script: Script, run_name: str, policy: Policy) -> Results:
        @keeps
        def run() -> AnyState:
            return self.run(script)

        shown = _redactor(self._session, script).text
        flow = _flow(run, shown(script.name), run_name=shown(run_name), timeout_seconds=policy.timeout_seconds)
        return results_of(flow(return_state=True))


def _flow_of(run: Callable[[], AnyState], script: Script, session: Session, name: str) -> Flow[[], object]:
    """The flow, its name and the name of its runs without secrets: Prefect shows both to all its users."""
    shown = _redactor(session, script).text
    return _flow(run, shown(name), run_name=shown(session.label) or None)


def _redactor(session: Session, script: Script) -> Redactor:
    return redactor_of(session, [[action.name, action.arguments] for action in script.actions])


def _flow(run: Callable[[], AnyState], name: str, *, run_name: str | None = None, timeout_seconds: float | None = None) -> Flow[[], object]:
    return ScriptFlow(
        fn=run,
        name=BANNED.sub("-", name),
        description=None,
        flow_run_name=_escaped(run_name) if run_name else None,
        timeout_seconds=timeout_seconds,
        retries=0,  # whatever PREFECT_FLOWS_DEFAULT_RETRIES says: a second time would be twice the load
        validate_parameters=False,
        persist_result=False,
    )


def _escaped(name: str) -> str:
    """Prefect formats the names of runs with their parameters."""
    return name.replace("{", "{{").replace("}", "}}")
