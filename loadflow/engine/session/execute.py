"""Runs a validated script action by action, with no Prefect at all; the flows share its parts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from loadflow.engine.base.redact import Redactor
from loadflow.engine.base.verdict import Verdict, VerdictKind, worst
from loadflow.engine.records.side_by_side import verdicts_of
from loadflow.engine.script.command import Command, Policy
from loadflow.engine.script.declared import defaults_of
from loadflow.engine.script.document import Action, Script
from loadflow.engine.session.checking import Checking
from loadflow.engine.session.deadline import deadline
from loadflow.engine.session.load_result import LoadResult
from loadflow.engine.session.session import Session, current_session
from loadflow.errors import (
    CircuitOpenError,
    CommandError,
    ConditionBroken,
    EngineError,
    Interrupted,
    LoadflowError,
    Mistake,
    ScriptError,
    ThresholdsNotMet,
)

__all__ = ["ActionResult", "Results", "call", "execute_action", "execute_files", "load_script", "may_retry", "run_actions"]


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What one action gave: its value, or the error that it failed with."""

    action: Action
    value: Any = None
    error: Exception | None = None

    @property
    def ok(self) -> bool:
        return self.error is None


@dataclass
class Results(Mapping[str, Any]):
    """The results of a script, in order. As a mapping it reads like LoadDensity's: `execute: <action>` to its value.

    A failed action's value is the error itself, and `results[i].ok` says so: no caller has to parse a string. An
    action that stands in the script twice has two entries, the second's key ending in ` (2)`. Secrets in keys are masked.
    """

    results: list[ActionResult] = field(default_factory=list)
    verdict: Verdict = field(default_factory=lambda: Verdict(VerdictKind.PASSED))
    loads: list[LoadResult] = field(default_factory=list)  # what the script and those nested in it sent, in order

    @property
    def ok(self) -> bool:
        """Whether every action ran without an error, nested ones too; the verdict on the load is apart from that."""
        return all(result.ok and all(nested.ok for nested in _nested(result.value)) for result in self.results)

    @property
    def first_error(self) -> Exception | None:
        """The first action's error, nested ones too; None when there is none."""
        for result in self.results:
            if result.error is not None:
                return result.error
            for nested in _nested(result.value):
                if (error := nested.first_error) is not None:
                    return error
        return None

    def by_key(self) -> dict[str, object]:
        redactor = Redactor()
        redactor.learn_from([result.action.arguments for result in self.results])
        entries: dict[str, object] = {}
        for result in self.results:
            parts = (
                [result.action.name] if result.action.arguments is None else [result.action.name, redactor.value(result.action.arguments)]
            )
            key = base = f"execute: {parts!r}"
            number = 1
            while key in entries:
                number += 1
                key = f"{base} ({number})"
            entries[key] = result.value if result.ok else result.error
        return entries

    def __getitem__(self, key: str) -> Any:
        return self.by_key()[key]

    def __iter__(self) -> Any:
        return iter(self.by_key())

    def __len__(self) -> int:
        return len(self.results)

    def raise_for_failure(self) -> None:
        """Raise the first action's error, if one failed."""
        for result in self.results:
            if result.error is not None:
                raise result.error


def load_script(document: object, *, session: Session | None = None, source: str = "", name: str = "") -> Script:
    """Parse and check a document (a list, a mapping, or JSON text) against the session's commands and variables.

    Raises ScriptError with all mistakes at once; nothing has run then.
    """
    return Checking(session or current_session()).script(document, source=source, name=name)


def execute_action(action_list: object) -> Results:
    """Run a script in the current session and return what each command returned.

    `action_list`: a list of actions, a mapping with `load_density`, or JSON text of one. Raises ScriptError when the
    document can't be run as written. A failing action stops the script unless it says `"on_error": "continue"`; its error
    is in the results.

    >>> execute_action([["len", ["four"]]])["execute: ['len', ['four']]"]
    4
    """
    session = current_session()
    return run_actions(load_script(action_list, session=session), session)


def execute_files(execute_files_list: Iterable[str]) -> list[Results]:
    """Run script files one after the other in the current session; all are checked before the first one runs."""
    session = current_session()
    checking = Checking(session)
    scripts = [checking.file(path) for path in execute_files_list]
    return [run_actions(script, session) for script in scripts]


def run_actions(
    script: Script,
    session: Session,
    run_one: Callable[[int, Action, Command, Policy], object] | None = None,
) -> Results:
    """Run the actions in order by `run_one` (default: `call` with the policy's retries), keep results, judge.

    Raises Interrupted, which holds the results until then, and KeyboardInterrupt through, after which no further action has run. What the
    script started and left running (a server) ends with it.
    """
    results = Results()
    before = len(session.all_runs)
    with session.script(), session.variables.declared(defaults_of(script.variables)):
        for position, action in enumerate(script.actions):
            command = _command(action, session)
            policy = action.policy.over(command.policy)
            try:
                value = run_one(position, action, command, policy) if run_one else call_with_retries(command, action, policy)
            except Interrupted as error:
                interrupted = Verdict(VerdictKind.INTERRUPTED, (str(error),))
                results.verdict = worst([verdict_of(session, results.results, before), interrupted])
                results.loads = _loads(session, before)
                error.results = results
                raise
            except Exception as error:  # noqa: BLE001  an own command may raise anything: it is that action's result
                results.results.append(ActionResult(action, error=error))
                if policy.on_error == "stop":
                    break
            else:
                results.results.append(ActionResult(action, value=value if _nested(value) else session.kept.of(value)))
                # an action that failed in a nested script is a failure of this one
                if policy.on_error == "stop" and not all(nested.ok for nested in _nested(value)):
                    break
    results.verdict = verdict_of(session, results.results, before)
    results.loads = _loads(session, before)
    return results


def _loads(session: Session, first_run: int) -> list[LoadResult]:
    return [LoadResult.of(run) for run in session.all_runs[first_run:]]


def _command(action: Action, session: Session) -> Command:
    """Looked up when its turn comes, because an action before it may have loaded it from a package."""
    command = session.commands.get(action.name)
    if command is not None:
        return command

    def missing(*_: object, **__: object) -> None:
        raise CommandError(
            [Mistake(action.place, f"{action.name!r} was not registered by the actions before it", "load its package first")]
        )

    return Command(action.name, missing, "A command that is not there.", Policy(retry_safe=False))


def verdict_of(session: Session, results: Iterable[ActionResult], first_run: int = 0) -> Verdict:
    """The worst of the runs from `first_run` on and of the actions' own failures."""
    verdicts = list(verdicts_of(session.all_runs[first_run:], lambda run: run.health()))
    for result in results:
        verdicts.extend(nested.verdict for nested in _nested(result.value))
        if result.error is not None:
            text = str(result.error) if isinstance(result.error, LoadflowError) else f"{type(result.error).__name__}: {result.error}"
            verdicts.append(Verdict(_kind(result.error), (f"{result.action.name} failed: {Redactor().text(text)}",)))
    return worst(verdicts)


def _kind(error: BaseException) -> VerdictKind:
    """What an action's error says of the whole: about the target, or about us."""
    if isinstance(error, ThresholdsNotMet):
        return VerdictKind.FAILED if error.failed else VerdictKind.INCONCLUSIVE
    if isinstance(error, ConditionBroken):
        return VerdictKind.INCONCLUSIVE
    return VerdictKind.FAILED if isinstance(error, CircuitOpenError) else VerdictKind.ERROR


def _nested(value: object) -> list[Results]:
    """The results of nested scripts in what a command returned."""
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, Results)]


def call(command: Command, action: Action) -> object:
    """Call a command's function with an action's arguments, in the current session."""
    match action.arguments:
        case None:
            return command.function()
        case dict() as keywords:
            return command.function(**keywords)
        case list() as positional:
            return command.function(*positional)
    raise TypeError(f"arguments of {action.place} are {type(action.arguments).__name__}")


def may_retry(command: Command, policy: Policy, error: BaseException) -> bool:
    """Whether running the command again could not do harm: see `Policy.retry_safe`."""
    if isinstance(error, ScriptError | Interrupted):
        return False
    return policy.retry_safe or (isinstance(error, EngineError) and error.hits == 0)


def call_with_retries(command: Command, action: Action, policy: Policy, sleep: Callable[[float], None] = time.sleep) -> object:
    """`call` under the policy: deadline, retries, delay."""
    attempt = 0
    while True:
        try:
            # load ends by the supervisor's deadline; the watchdog is only behind it
            with deadline(policy.timeout_seconds, command.name):
                return call(command, action)
        except Exception as error:
            attempt += 1
            if attempt > policy.retries or not may_retry(command, policy, error):
                raise
            sleep(policy.retry_delay_seconds)
