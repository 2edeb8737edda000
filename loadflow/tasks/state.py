"""What a Prefect state holds."""

from __future__ import annotations

from typing import Any, TypeAlias, cast

from prefect.client.schemas.objects import State

__all__ = ["AnyState", "data_of"]

AnyState: TypeAlias = State[Any]  # whatever it holds: Prefect's class is invariant


def data_of(state: AnyState, *, or_raise: bool = False) -> object:
    """The value or the exception in a final state; `or_raise`: raises the exception.

    Also where an event loop runs, as in a notebook, in which Prefect's own `result` gives something to wait for.
    """
    return cast(Any, state.result)(raise_on_failure=or_raise, _sync=True)
