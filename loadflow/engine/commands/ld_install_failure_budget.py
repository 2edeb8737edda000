"""LD_install_failure_budget: end later loads early, with the verdict failed, if too many of their hits fail."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.commands import installing
from loadflow.engine.script.command import QUICK, Command
from loadflow.engine.script.part import HIGHEST, Int, Part, Positive, Share

__all__ = ["COMMAND", "install_failure_budget"]


class InstallFailureBudget(Part):
    """The arguments of LD_install_failure_budget: a share, seconds, a count."""

    noun: ClassVar[str] = "LD_install_failure_budget"

    threshold: Share = 0.05
    window_seconds: Positive = 30.0
    min_samples: Annotated[Int, Field(ge=1, le=HIGHEST)] = 50


def install_failure_budget(threshold: float = 0.05, window_seconds: float = 30.0, min_samples: int = 50) -> JsonObject:
    """End every later load of this script, within a second, once more than `threshold` of its hits fail; its verdict is failed.

    The rate is that of the last `window_seconds`, and needs `min_samples` hits in them. Counting starts anew with each load;
    an attempt that a retry replaced does not count.
    """
    installing.install_failure_budget(threshold, window_seconds, min_samples)
    return {"status": "installed", "threshold": threshold, "window_seconds": window_seconds, "min_samples": min_samples}


COMMAND = Command(
    "LD_install_failure_budget",
    install_failure_budget,
    "End later loads early, with the verdict failed, if too many of their hits fail.",
    QUICK,
    model=InstallFailureBudget,
    dry=True,
    group="conditions",
    returns="object: status and settings",
    example={"threshold": 0.05, "window_seconds": 30},
)
