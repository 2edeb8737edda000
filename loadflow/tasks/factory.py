"""Makes a Prefect task of one action: named after its command, run by its policy, with nothing secret in its logs.

The arguments are no parameters of the task, so that Prefect neither looks into them nor keeps them.
"""

from __future__ import annotations

import json
import traceback
from typing import Any, cast

from prefect import Task, get_run_logger
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.states import Cancelled, Completed, get_state_exception

from loadflow.engine.command import Command, Policy
from loadflow.engine.execute import call, may_retry
from loadflow.engine.redact import Redactor
from loadflow.engine.reports.bounds import clip
from loadflow.engine.script.document import Action
from loadflow.engine.session import current_session
from loadflow.errors import Interrupted, RunError
from loadflow.tasks.masking import redactor_of

__all__ = ["task_for"]

# Only load has tags: for each task that has one, Prefect 3.8 asks its server for a slot of each tag before it starts, and that
# takes 2 s instead of 0.02 s when the last question was more than 4 s ago (measured).
TAGS = ("loadflow", "load")
LABEL_CHARACTERS = 60
LOG_CHARACTERS = 1_000


class Masked(RunError):
    """Stands for an error whose text holds a secret, because Prefect logs and stores the text of whatever a task raises."""

    def __init__(self, text: str, original: Exception) -> None:
        super().__init__(text)
        self.original = original


def task_for(command: Command, policy: Policy, position: int, action: Action) -> Task[[], Any]:
    """The task that runs `action`, the script's `position`-th counted from 0, in the session that is current when it is called.

    Call it directly, on the thread of the flow: a timeout then really ends the work, and no second thread outlives the flow.
    Call it with `return_state=True` and take the state's result: the task returns a state where that says more than a value.
    """

    def run() -> Any:
        return _run(command, action)

    def retry_condition(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
        error = cast(BaseException, get_state_exception(state))
        return may_retry(command, policy, error.original if isinstance(error, Masked) else error)

    return Task(
        fn=run,
        name=command.name,
        description=command.summary,
        tags=TAGS if command.loads else None,
        task_run_name=_run_name(position, action).replace("{", "{{").replace("}", "}}"),
        retries=policy.retries,
        retry_delay_seconds=policy.retry_delay_seconds,
        retry_condition_fn=retry_condition,
        timeout_seconds=policy.timeout_seconds,
        cache_policy=NO_CACHE,
        persist_result=False,
        cache_result_in_memory=False,
    )


def _run_name(position: int, action: Action) -> str:
    label = action.arguments.get("label") if isinstance(action.arguments, dict) else None
    words = [f"{position + 1:02}", action.name, clip(label, LABEL_CHARACTERS) if isinstance(label, str) else ""]
    return Redactor().text(" ".join(word for word in words if word))


def _run(command: Command, action: Action) -> Any:
    """The command's value, or the state that says more than a value could."""
    redactor = redactor_of(current_session(), action.arguments)
    if isinstance(action.arguments, dict):
        redactor.learn([value for name, value in action.arguments.items() if name in command.secrets])
    logger = get_run_logger()
    logger.info("%s %s", command.name, _shown(action.arguments, redactor))
    try:
        value = call(command, action)
    except Interrupted as error:
        return Cancelled(message=redactor.text(str(error)), data=error)  # a failed task would say that something broke
    except Exception as error:
        told = "".join(traceback.format_exception(error))
        if redactor.text(told) == told:
            raise
        logger.error("%s", redactor.text(told))
        raise Masked(redactor.text(f"{type(error).__name__}: {error}"), error) from None
    if command.loads:
        return Completed(message=_verdict_line(value), data=value)
    return value


def _shown(arguments: Any, redactor: Redactor) -> str:
    if arguments is None:
        return ""
    return clip(json.dumps(redactor.value(arguments), ensure_ascii=False, default=str), LOG_CHARACTERS)


def _verdict_line(value: Any) -> str:
    """Of a summary as `Summary.to_json` gives it; "" for anything else."""
    verdict = value.get("verdict") if isinstance(value, dict) else None
    if not isinstance(verdict, dict):
        return ""
    return ": ".join([verdict["verdict"], *verdict["reasons"][:1]])
