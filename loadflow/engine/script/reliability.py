"""What the commands of reliability take."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from loadflow.engine.script.part import Int, Name, Part, Positive, Seconds

__all__ = ["InstallFailureBudget", "InstallNetworkConditioner"]

Share = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]


class InstallFailureBudget(Part):
    """The arguments of LD_install_failure_budget: a share, seconds, a count."""

    noun: ClassVar[str] = "LD_install_failure_budget"

    threshold: Share = 0.05
    window_seconds: Positive = 30.0
    min_samples: Annotated[Int, Field(ge=1)] = 50


class InstallNetworkConditioner(Part):
    """The arguments of LD_install_network_conditioner: milliseconds, a share, a part of step names."""

    noun: ClassVar[str] = "LD_install_network_conditioner"

    latency_ms: Seconds = 0.0
    jitter_ms: Seconds = 0.0
    loss_rate: Share = 0.0
    name_filter: Name | None = None
