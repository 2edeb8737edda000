"""LD_uninstall_network_conditioner: run later loads without the network conditioner."""

from __future__ import annotations

from loadflow.engine.commands import installing
from loadflow.engine.script.command import QUICK, Command

__all__ = ["COMMAND", "uninstall_network_conditioner"]


def uninstall_network_conditioner() -> dict[str, str]:
    """Let later loads use the network as it is; does no harm where nothing is installed."""
    installing.uninstall_network_conditioner()
    return {"status": "uninstalled"}


COMMAND = Command(
    "LD_uninstall_network_conditioner",
    uninstall_network_conditioner,
    "Run later loads without the network conditioner.",
    QUICK,
    dry=True,
    group="conditions",
    returns='`{"status": "uninstalled"}`',
)
