"""LD_register_variable: set one variable, ${var.NAME}."""

from __future__ import annotations

from typing import Any

from loadflow.engine.script.command import QUICK, Command
from loadflow.engine.session.session import current_session

__all__ = ["COMMAND", "register_variable"]


def register_variable(name: str, value: Any) -> None:
    """Set `${var.name}` for the tests that start later. Any JSON value; a whole-string placeholder keeps its type."""
    current_session().variables.register(name, value)


COMMAND = Command(
    "LD_register_variable",
    register_variable,
    "Set one variable, ${var.NAME}.",
    QUICK,
    dry=True,
    sets=True,
    group="values",
    returns="null",
    example={"name": "base", "value": "http://127.0.0.1:8000"},
)
