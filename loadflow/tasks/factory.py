"""Makes a Prefect task of one action: named after its command, run by its policy, with nothing secret in its logs.

The arguments are no parameters of the task, so that Prefect neither looks into them nor keeps them.
"""

from __future__ import annotations

import json
import traceback
from typing import Any, cast

from prefect import Task, get_run_logger
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun
from prefect.states import Cancelled, Completed, Failed, get_state_exception

from loadflow.engine.base.redact import Redactor
from loadflow.engine.base.verdict import VerdictKind
from loadflow.engine.base.visible import visible
from loadflow.engine.records.summary import Summary
from loadflow.engine.records.summing import summary_of
from loadflow.engine.reports.bounds import clip
from loadflow.engine.reports.page import line_of
from loadflow.engine.script.command import Command, Policy
from loadflow.engine.script.document import Action
from loadflow.engine.session.execute import call, may_retry
from loadflow.engine.session.masking import redactor_of
from loadflow.engine.session.session import current_session
from loadflow.errors import Interrupted, LoadflowError, RunError
from loadflow.tasks.state import AnyState, data_of

__all__ = ["LoadNotPassed", "task_for", "value_of"]

# Only load has tags: for each task that has one, Prefect 3.8 asks its server for a slot of each tag before it starts, and that
# takes 2 s instead of 0.02 s when the last question was more than 4 s ago (measured).
TAGS = ("loadflow", "load")
LABEL_CHARACTERS = 60
LOG_CHARACTERS = 1_000


class LoadNotPassed(LoadflowError):
    """The load of a task ran to its end, and its verdict is not passed. `value` is what the command gave."""

    def __init__(self, message: str, value: Any) -> None:
        super().__init__(message)
        self.value = value

    def __reduce__(self) -> tuple[type[LoadNotPassed], tuple[str, object]]:
        return type(self), (self.args[0], self.value)


class Masked(RunError):
    """Stands for an error whose text holds a secret, or steers a terminal: Prefect logs and stores what a task raises."""

    def __init__(self, text: str, original: Exception) -> None:
        super().__init__(text)
        self.original = original


def task_for(command: Command, policy: Policy, position: int, action: Action) -> Task[[], object]:
    """The task that runs `action`, the script's `position`-th counted from 0, in the session that is current when it is called.

    Call it directly, on the thread of the flow: a timeout then really ends the work, and no second thread outlives the flow.
    Call it with `return_state=True` and take the state's result: the task returns a state where that says more than a value.
    """

    def run() -> Any:
        return _run(command, action)

    def retry_condition(task: Task[..., object], task_run: TaskRun, state: AnyState) -> bool:
        error = cast(BaseException, get_state_exception(state))
        return may_retry(command, policy, error.original if isinstance(error, Masked) else error)

    return Task(
        fn=run,
        name=command.name,
        description=command.summary,
        tags=TAGS if command.loads else None,
        task_run_name=_run_name(command, position, action).replace("{", "{{").replace("}", "}}"),
        retries=policy.retries,
        retry_delay_seconds=policy.retry_delay_seconds,
        retry_condition_fn=retry_condition,
        timeout_seconds=policy.timeout_seconds,
        cache_policy=NO_CACHE,
        persist_result=False,
        cache_result_in_memory=False,
    )


def value_of(state: AnyState) -> object:
    """What the command of a task that was called with `return_state=True` gave, whatever the verdict on its load. Raises its error."""
    result = data_of(state)
    if isinstance(result, LoadNotPassed):
        return result.value
    if isinstance(result, BaseException):
        raise result
    return result


def _run_name(command: Command, position: int, action: Action) -> str:
    """Number and command, or "load" where it makes load; then the label of the action, of a load at least the script's."""
    label = action.arguments.get("label") if isinstance(action.arguments, dict) else None
    words = clip(label, LABEL_CHARACTERS) if isinstance(label, str) else ""
    session = current_session()
    redactor = redactor_of(session, [action.name, action.arguments])
    if command.loads:
        words = words or clip(session.label or session.name, LABEL_CHARACTERS)
        return redactor.text(": ".join(filter(None, (f"{position + 1:02} load", words))))
    return redactor.text(" ".join(filter(None, (f"{position + 1:02}", action.name, words))))


def _run(command: Command, action: Action) -> Any:
    """The command's value, or the state that says more than a value could."""
    session = current_session()
    redactor = redactor_of(session, [action.name, action.arguments])
    logger = get_run_logger()
    logger.info("%s %s", command.name, visible(_shown(action.arguments, redactor)))
    runs_before = len(session.all_runs)
    try:
        value = call(command, action)
    except Interrupted as error:
        return Cancelled(message=redactor.text(str(error)), data=error)  # a failed task would say that something broke
    except Exception as error:
        told = "".join(traceback.format_exception(error))
        shown = visible(redactor.text(told), lines=True)
        if shown == told:
            raise
        logger.error("%s", shown)
        raise Masked(visible(redactor.text(f"{type(error).__name__}: {error}"), lines=True), error) from None
    runs = session.all_runs[runs_before:]
    if command.loads and runs:
        return _load_state(summary_of(runs), value, redactor)
    return value


def _load_state(summary: Summary, value: object, redactor: Redactor) -> AnyState:
    """Red where the load did not pass, so that a page of the flow run shows it at once; the actions after it run all the same."""
    message = visible(redactor.text(line_of(summary)))
    match summary.verdict.kind:
        case VerdictKind.PASSED:
            return Completed(message=message, data=value)
        case VerdictKind.FAILED:
            return Failed(message=message, data=LoadNotPassed(message, value))
        case kind:
            return Failed(name=str(kind).capitalize(), message=message, data=LoadNotPassed(message, value))


def _shown(arguments: object, redactor: Redactor) -> str:
    if arguments is None:
        return ""
    return clip(json.dumps(redactor.value(arguments), ensure_ascii=False, default=str), LOG_CHARACTERS)
