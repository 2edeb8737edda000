"""How a flow run ends: a verdict becomes a Prefect state, and a state gives the results back.

A flow returns its state instead of a value or an exception. That is the one way in Prefect to choose name and message of the
final state; and calling the flow still gives the results when the verdict is passed, because they are the state's data, and
raises otherwise, because an exception is. The exception holds the results, so nothing is lost with `return_state=True`.
"""

from __future__ import annotations

from collections.abc import Iterable

from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed

from loadflow.engine.base.counted import counted
from loadflow.engine.base.redact import Redactor
from loadflow.engine.base.verdict import Verdict, VerdictKind, worst
from loadflow.engine.base.visible import visible
from loadflow.engine.reports.bounds import clip
from loadflow.engine.session.execute import Results
from loadflow.engine.session.load_result import LoadResult
from loadflow.errors import ConditionBroken, Interrupted, LoadflowError, TargetTaken
from loadflow.tasks.state import AnyState, data_of

__all__ = [
    "NotPassed",
    "as_loads",
    "interrupted_state",
    "load_of",
    "loads_of",
    "results_in",
    "results_of",
    "same_verdict",
    "state_of",
]

MESSAGE_CHARACTERS = 2_000


class NotPassed(LoadflowError):
    """A flow ran to its end and its verdict is not passed. `results` are what its actions gave, with the verdict."""

    def __init__(self, message: str, results: Results) -> None:
        super().__init__(message)
        self.results = results

    def __reduce__(self) -> tuple[type[NotPassed], tuple[str, Results]]:
        return type(self), (self.args[0], self.results)


def state_of(results: Results, redactor: Redactor, passed_line: str = "", *, loads: int = 0) -> AnyState:
    """The final state of a flow whose actions gave `results`, with the number of `loads`. `passed_line`: the message of a passed run.

    passed: Completed; failed: Failed; inconclusive and error: Failed, under their own names; interrupted: Cancelled, named
    Interrupted. A script that stopped because another load is on its target, or a condition of its own does not hold, and has sent nothing:
    Cancelled, named Skipped.
    """
    verdict = results.verdict
    line = clip(visible(redactor.text("; ".join([str(verdict), *verdict.reasons[1:]])), lines=True), MESSAGE_CHARACTERS)
    if verdict.kind is VerdictKind.PASSED:
        return Completed(message=passed_line or line, data=results)
    error = NotPassed(line, results)
    error.__cause__ = cause = results.first_error
    if isinstance(cause, TargetTaken | ConditionBroken) and not loads:
        return Cancelled(name="Skipped", message=clip(redactor.text(f"skipped: {cause}"), MESSAGE_CHARACTERS), data=error)
    return _not_passed(verdict.kind, line, error)


def _not_passed(kind: VerdictKind, line: str, data: object = None) -> AnyState:
    match kind:
        case VerdictKind.FAILED:
            return Failed(message=line, data=data)
        case VerdictKind.INTERRUPTED:
            return Cancelled(name="Interrupted", message=line, data=data)
        case _:
            return Failed(name=str(kind).capitalize(), message=line, data=data)


def interrupted_state(error: Interrupted, redactor: Redactor, *, cancelled: bool) -> AnyState:
    """`cancelled`: the flow run itself was; else its load was stopped in another way, and the state's name says so."""
    message = clip(visible(redactor.text(str(error)), lines=True), MESSAGE_CHARACTERS)
    return Cancelled(name="Cancelled" if cancelled else "Interrupted", message=message, data=error)


def results_of(state: AnyState) -> Results:
    """The results of a flow that was called with `return_state=True`, whatever its verdict.

    Raises what ended it early: Interrupted, whose `results` are those until then, or whatever Prefect put into the state. States that
    were read from the API hold no results: a run's folder does.
    """
    return results_in(data_of(state))


def results_in(value: object) -> Results:
    """The results in the data of a state; see `results_of`."""
    if isinstance(value, NotPassed):
        return value.results
    load = value[0] if isinstance(value, list) and value else value
    if isinstance(load, LoadResult) and load.results is not None:
        return load.results
    if isinstance(value, BaseException):
        raise value
    if not isinstance(value, Results):
        raise TypeError(f"the state holds a {type(value).__name__}, not the results of a script; pass the state that the flow returned")
    return value


def as_loads(state: AnyState) -> AnyState:
    """The state of a script's flow, made to hold what was sent: one LoadResult, or a list of several; its results, where nothing was."""
    if isinstance(state.data, Results) and state.data.loads:
        loads = [load.among(state.data) for load in state.data.loads]
        state.data = loads[0] if len(loads) == 1 else loads
    return state


def loads_of(state: AnyState) -> list[LoadResult]:
    """What a flow sent that was called with `return_state=True`, whatever its verdict.

    Of a flow that was interrupted, what it had sent until then. Raises as `results_of` does, Interrupted only where nothing was sent.
    """
    return list(_sent(state).loads)


def _sent(state: AnyState) -> Results:
    try:
        return results_of(state)
    except Interrupted as error:
        if not isinstance(error.results, Results) or not error.results.loads:
            raise
        return error.results


def load_of(state: AnyState) -> LoadResult:
    """The one load of a flow that was called with `return_state=True`, whatever its verdict, interrupted too.

    Raises the error of the action that failed where there is none, ValueError for several, and what `results_of` raises.
    """
    results = _sent(state)
    if len(results.loads) == 1:
        return results.loads[0]
    if not results.loads and results.first_error is not None:
        raise results.first_error
    raise ValueError(f"the script made {counted(len(results.loads), 'load')}, not one; loads_of(state) gives all of them")


def same_verdict(of: AnyState | LoadResult | Iterable[LoadResult]) -> AnyState:
    """A state for a flow to return, so that its run says what its load says: of the load's state, also one from the server, or its result.

    The worst verdict of several. The load's own state, returned, would be read as "1/1 states failed".
    """
    if isinstance(of, State):
        return State(type=of.type, name=of.name, message=of.message)
    loads = [of] if isinstance(of, LoadResult) else list(of)
    if not loads:
        raise ValueError("same_verdict was given no load, so there is no verdict; give the state of a flow, or its loads")
    verdict = worst(Verdict(load.verdict, load.reasons) for load in loads)
    line = clip(visible("; ".join([str(verdict), *verdict.reasons[1:]]), lines=True), MESSAGE_CHARACTERS)
    return Completed(message=line) if verdict.kind is VerdictKind.PASSED else _not_passed(verdict.kind, line)
