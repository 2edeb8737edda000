"""How a flow run ends: a verdict becomes a Prefect state, and a state gives the results back.

A flow returns its state instead of a value or an exception. That is the one way in Prefect to choose name and message of the
final state; and calling the flow still gives the results when the verdict is passed, because they are the state's data, and
raises otherwise, because an exception is. The exception holds the results, so nothing is lost with `return_state=True`.
"""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed

from loadflow.engine.execute import Results
from loadflow.engine.redact import Redactor
from loadflow.engine.reports.bounds import clip
from loadflow.engine.verdict import VerdictKind
from loadflow.errors import Interrupted, LoadflowError

__all__ = ["NotPassed", "interrupted_state", "results_of", "state_of"]

MESSAGE_CHARACTERS = 2_000


class NotPassed(LoadflowError):
    """A flow ran to its end and its verdict is not passed. `results` are what its actions gave, with the verdict."""

    def __init__(self, message: str, results: Results) -> None:
        super().__init__(message)
        self.results = results

    def __reduce__(self) -> tuple[type[NotPassed], tuple[str, Results]]:
        return type(self), (self.args[0], self.results)


def state_of(results: Results, redactor: Redactor, passed_line: str = "") -> State[Any]:
    """The final state of a flow whose actions gave `results`. `passed_line`: what a pass has to say.

    passed: Completed; failed: Failed; inconclusive and error: Failed, under their own names; interrupted: Cancelled, named
    Interrupted.
    """
    verdict = results.verdict
    line = clip(redactor.text("; ".join([str(verdict), *verdict.reasons[1:]])), MESSAGE_CHARACTERS)
    if verdict.kind is VerdictKind.PASSED:
        return Completed(message=passed_line or line, data=results)
    error = NotPassed(line, results)
    error.__cause__ = next((result.error for result in results.results if result.error is not None), None)
    match verdict.kind:
        case VerdictKind.FAILED:
            return Failed(message=line, data=error)
        case VerdictKind.INTERRUPTED:
            return Cancelled(name="Interrupted", message=line, data=error)
        case _:
            return Failed(name=str(verdict.kind).capitalize(), message=line, data=error)


def interrupted_state(error: Interrupted, redactor: Redactor, *, cancelled: bool) -> State[Any]:
    """`cancelled`: the flow run itself was; else somebody stopped its load in another way, and the state's name says so."""
    message = clip(redactor.text(str(error)), MESSAGE_CHARACTERS)
    return Cancelled(name="Cancelled" if cancelled else "Interrupted", message=message, data=error)


def results_of(state: State[Any]) -> Results:
    """The results of a flow that was called with `return_state=True`, whatever its verdict.

    Raises what ended it early: Interrupted, or whatever Prefect put into the state. States that were read from the API hold
    no results: a run's folder does.
    """
    value = state.result(raise_on_failure=False)
    if isinstance(value, NotPassed):
        return value.results
    if isinstance(value, BaseException):
        raise value
    if not isinstance(value, Results):
        raise TypeError(f"the state holds a {type(value).__name__}, not the results of a script; pass the state that the flow returned")
    return value
