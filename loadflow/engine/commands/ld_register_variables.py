"""LD_register_variables: set several variables, ${var.NAME}."""

from __future__ import annotations

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.script.command import QUICK, Command
from loadflow.engine.session.session import current_session

__all__ = ["COMMAND", "register_variables"]


def register_variables(variables: JsonObject) -> None:
    """Set several variables at once."""
    current_session().variables.register_many(variables)


COMMAND = Command(
    "LD_register_variables",
    register_variables,
    "Set several variables, ${var.NAME}.",
    QUICK,
    dry=True,
    sets=True,
    group="values",
    returns="null",
    example={"variables": {"base": "http://127.0.0.1:8000", "users": 20}},
)
