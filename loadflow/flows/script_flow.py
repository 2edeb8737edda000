"""A flow that keeps what it gave.

A flow hands its state to Prefect's API. Where the API's answer is lost (a server that is busy or starts again), Prefect's client asks
again, gets the answer that the run is in that state already, and takes the state that the API remembers, which has no data. So the call
would raise MissingResult, or an error without the results, after a load that passed. Here the call gives what the function gave.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, cast

from prefect import Flow
from prefect.client.schemas.objects import State
from prefect.states import Failed

from loadflow.tasks.state import AnyState, data_of

__all__ = ["ScriptFlow", "keeps"]

P = ParamSpec("P")

_given: ContextVar[list[AnyState] | None] = ContextVar("given", default=None)  # what the function of the flow called last has given


def keeps(run: Callable[P, AnyState]) -> Callable[P, AnyState]:
    """The function of a ScriptFlow, which returns a state, so that the call of the flow knows what it gave or raised."""

    @wraps(run)
    def keeping(*args: P.args, **kwargs: P.kwargs) -> AnyState:
        given = _given.get()
        try:
            state = run(*args, **kwargs)
        except Exception as error:
            if given is not None:
                given.append(Failed(data=error))
            raise
        if given is not None:
            given.append(State(type=state.type, data=state.data))
        return state

    return keeping


class ScriptFlow(Flow[P, Any]):
    """A flow of a function that `keeps` marks. Called, it gives the data of the state that the function returned, or raises them."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:  # type: ignore[override]  # Prefect has overloads of async functions too
        as_state = kwargs.pop("return_state", False)
        given: list[AnyState] = []
        token = _given.set(given)
        try:
            state = cast(AnyState, super().__call__(*args, **kwargs, return_state=True))
        finally:
            _given.reset(token)
        if state.data is None and given and given[-1].type is state.type:
            state.data = given[-1].data
        return state if as_state else data_of(state, or_raise=True)
