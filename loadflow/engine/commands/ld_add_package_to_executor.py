"""LD_add_package_to_executor: make commands of the functions in an allowed package; returns their names."""

from __future__ import annotations

from loadflow.engine.script.command import QUICK, Command

__all__ = ["COMMAND"]

COMMAND = Command(
    "LD_add_package_to_executor",
    "loadflow.engine.session.packages:add_package_to_executor",
    "Make commands of the functions in an allowed package; returns their names.",
    QUICK,
    opens=True,
    guarded=True,
    group="script",
    returns="list of the names registered",
    example={"package": "our_checks"},
)
