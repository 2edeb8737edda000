"""Parts of a command that makes many loads, such as the cells of a campaign, as task runs of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed, Failed

from loadflow.engine.reports.bounds import clip
from loadflow.engine.session.masking import redactor_of
from loadflow.engine.session.session import current_session
from loadflow.tasks.factory import LoadNotPassed, value_of
from loadflow.tasks.state import AnyState

__all__ = ["as_task"]

NAME_CHARACTERS, TEXT_CHARACTERS = 100, 1_000


def as_task(name: str, work: Callable[[], Any]) -> Any:
    """What `work` gives. Its "verdict" is the state of the task run; an error of its own is raised."""

    def run() -> AnyState:
        value = work()
        verdict, reason = str(value["verdict"]), redactor_of(current_session()).text(str(value["reason"]))
        if verdict == "passed":
            return Completed(name="Passed", data=value)
        message = clip(reason or verdict, TEXT_CHARACTERS)
        state = "Failed" if verdict == "failed" else verdict.capitalize()
        return Failed(name=state, message=message, data=LoadNotPassed(message, value))

    shown = clip(redactor_of(current_session()).text(name), NAME_CHARACTERS)
    task = Task(
        fn=run,
        name="cell",
        task_run_name=shown.replace("{", "{{").replace("}", "}}"),
        retries=0,
        cache_policy=NO_CACHE,
        persist_result=False,
        cache_result_in_memory=False,
    )
    return value_of(task(return_state=True))
