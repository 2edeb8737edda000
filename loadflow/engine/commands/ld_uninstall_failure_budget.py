"""LD_uninstall_failure_budget: run later loads without a failure budget."""

from __future__ import annotations

from loadflow.engine.commands import installing
from loadflow.engine.script.command import QUICK, Command

__all__ = ["COMMAND", "uninstall_failure_budget"]


def uninstall_failure_budget() -> dict[str, str]:
    """Let later loads run without a failure budget; does no harm where none is installed."""
    installing.uninstall_failure_budget()
    return {"status": "uninstalled"}


COMMAND = Command(
    "LD_uninstall_failure_budget",
    uninstall_failure_budget,
    "Run later loads without a failure budget.",
    QUICK,
    dry=True,
    group="conditions",
    returns='`{"status": "uninstalled"}`',
)
