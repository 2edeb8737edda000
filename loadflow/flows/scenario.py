"""A Python scenario as a Prefect flow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import Flow

from loadflow.engine.scenario.document import document_of, found_at
from loadflow.engine.session.session import Session
from loadflow.flows.compile import compile_script

__all__ = ["flow_of"]


def flow_of(
    scenario: type | str | Path, *, target: str | None = None, session: Session | None = None, name: str | None = None
) -> Flow[[], Any]:
    """A flow that runs a scenario: a class that `@scenario` marks, or FILE.py, or FILE.py:CLASS, as `compile_script` makes it of a script.

    `target`: where requests go; None: http://localhost:8000. Raises ScriptError.

    >>> flow_of("shop.py:Shop", target="https://shop.example")()  # doctest: +SKIP
    """
    made, file = found_at(scenario)
    return compile_script(document_of(made, file, target), session=session, name=name or made.name)
