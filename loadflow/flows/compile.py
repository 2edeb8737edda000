"""Compiles a script into a Prefect flow: one task run per action, in order; nested scripts are subflows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

from prefect import Flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext

from loadflow.engine.command import Command, Policy
from loadflow.engine.execute import Results, load_script, run_actions
from loadflow.engine.records.run import summary_of
from loadflow.engine.redact import Redactor
from loadflow.engine.reports.page import line_of
from loadflow.engine.script.arguments import FILES, NESTED, bind
from loadflow.engine.script.document import Action, Script, read_script
from loadflow.engine.script.json_text import load_json
from loadflow.engine.session import Session, current_session, use_session
from loadflow.errors import Interrupted, ScriptError
from loadflow.flows.ending import interrupted_state, results_of, state_of
from loadflow.flows.observer import FlowObserver
from loadflow.flows.uploads import Storage
from loadflow.tasks import task_for
from loadflow.tasks.masking import redactor_of

__all__ = ["checked_script", "compile_script", "run_in_flow"]

# Prefect refuses these in the name of a flow
BANNED = re.compile(r"[/%&<>]+")


def compile_script(script: Any, *, session: Session | None = None, name: str | None = None) -> Flow[[], Any]:
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

    def run() -> State[Any]:
        return run_in_flow(checked, session or Session(name=checked.name, own_commands=own_commands, allowed_packages=allowed))

    label = session.label if session else ""
    return _flow(run, name or checked.name, run_name=label or None)


def checked_script(script: Any, session: Session, name: str = "") -> Script:
    """Read and check whatever `compile_script` takes."""
    if isinstance(script, Script):
        return script
    if isinstance(script, str) and script.lstrip("\ufeff \t\r\n").startswith(("[", "{")):
        document, mistakes = load_json(script)
        if mistakes:
            raise ScriptError(mistakes)
        return load_script(document, session=session, name=name)
    if isinstance(script, str | Path):
        return load_script(read_script(script), session=session, source=str(script), name=name or Path(script).stem)
    return load_script(script, session=session, name=name)


def run_in_flow(script: Script, session: Session, storage: Storage | None = None) -> State[Any]:
    """Run the script's actions as tasks of the flow run that this is called in; returns its final state. `storage` gets the reports."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise RuntimeError("run_in_flow works inside of a flow run only; compile_script makes a flow")
    observer = FlowObserver(get_run_logger(), storage)
    session.observers.append(observer)
    try:
        with use_session(session):
            return _ScriptRun(session, observer).run(script)
    finally:
        session.observers.remove(observer)


class _ScriptRun:
    """One script and all that are nested in it, in one session."""

    def __init__(self, session: Session, observer: FlowObserver) -> None:
        self._session = session
        self._observer = observer

    def run(self, script: Script) -> State[Any]:
        """Also the body of each subflow."""
        context = FlowRunContext.get()
        assert context is not None
        assert context.flow_run is not None
        redactor = redactor_of(self._session, [action.arguments for action in script.actions])
        first_run = len(self._session.all_runs)
        with self._observer.also(context.flow_run.id):
            try:
                results = run_actions(script, self._session, lambda *of: self._run_one(script, *of))
            except Interrupted as error:
                return interrupted_state(error, redactor, cancelled=self._observer.cancelled)
        return state_of(results, redactor, self._passed_line(first_run))

    def _run_one(self, script: Script, position: int, action: Action, command: Command, policy: Policy) -> Any:
        if command.nested is None:
            state = task_for(command, policy, position, action)(return_state=True)
            return state.result()
        given = bind(command, action.arguments).values[NESTED if command.nested == "actions" else FILES]
        number = f"{position + 1:02}"
        if command.nested == "actions":
            nested = load_script(given, session=self._session, name=f"{script.name} {number}")
            return self._subflow(nested, f"{number} {action.name}", policy)
        # all are checked before the first one runs
        files = [load_script(read_script(path), session=self._session, source=str(path), name=Path(path).stem) for path in given]
        return [self._subflow(nested, f"{number} {nested.name}", policy) for nested in files]

    def _subflow(self, script: Script, run_name: str, policy: Policy) -> Results:
        def run() -> State[Any]:
            return self.run(script)

        flow = _flow(run, script.name, run_name=run_name, timeout_seconds=policy.timeout_seconds)
        return results_of(cast(State[Any], flow(return_state=True)))

    def _passed_line(self, first_run: int) -> str:
        runs = self._session.all_runs[first_run:]
        return line_of(summary_of(runs)) if runs else ""


def _flow(run: Any, name: str, *, run_name: str | None = None, timeout_seconds: float | None = None) -> Flow[[], Any]:
    return Flow(
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
    return Redactor().text(name).replace("{", "{{").replace("}", "}}")
