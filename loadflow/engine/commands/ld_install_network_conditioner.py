"""LD_install_network_conditioner: add latency, jitter and loss to later loads."""

from __future__ import annotations

from dataclasses import asdict
from typing import ClassVar

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.commands import installing
from loadflow.engine.script.command import QUICK, Command
from loadflow.engine.script.part import Name, Part, Seconds, Share

__all__ = ["COMMAND", "install_network_conditioner"]


class InstallNetworkConditioner(Part):
    """The arguments of LD_install_network_conditioner: milliseconds, a share, a part of step names."""

    noun: ClassVar[str] = "LD_install_network_conditioner"

    latency_ms: Seconds = 0.0
    jitter_ms: Seconds = 0.0
    loss_rate: Share = 0.0
    name_filter: Name | None = None


def install_network_conditioner(
    latency_ms: float = 0.0, jitter_ms: float = 0.0, loss_rate: float = 0.0, name_filter: str | None = None
) -> JsonObject:
    """Make the network of every later load of this script worse: `latency_ms` ± `jitter_ms` per attempt, a share lost.

    Added latency is part of the measured time. A lost attempt is a failed hit of the kind "dropped"; nothing is sent, and the
    step's `retry` sees it as transient. `name_filter`: only steps with this text in their name, or else in their URL.
    """
    return {"status": "installed", **asdict(installing.install_network_conditioner(latency_ms, jitter_ms, loss_rate, name_filter))}


COMMAND = Command(
    "LD_install_network_conditioner",
    install_network_conditioner,
    "Add latency, jitter and loss to later loads.",
    QUICK,
    model=InstallNetworkConditioner,
    dry=True,
    group="conditions",
    returns="object: status and settings",
    example={"latency_ms": 50, "jitter_ms": 20, "loss_rate": 0.01},
)
