"""LD_execute_action: run a nested list of actions."""

from __future__ import annotations

from loadflow.engine.script.command import NESTED, Command

__all__ = ["COMMAND"]

COMMAND = Command(
    "LD_execute_action",
    "loadflow.engine.session.execute:execute_action",
    "Run a nested list of actions.",
    NESTED,
    nested="actions",
    group="script",
    returns="the results of the nested script",
    example={"action_list": [["LD_summary"]]},
)
