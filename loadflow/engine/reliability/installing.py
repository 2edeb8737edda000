"""Installs failure budgets and network conditions in the current session: for Python, and as commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from loadflow.engine.reliability.budget import FailureBudget
from loadflow.engine.reliability.budget_watch import InstalledBudget
from loadflow.engine.reliability.conditioner import NetworkConditioner
from loadflow.engine.session import current_session

__all__ = [
    "install_failure_budget",
    "install_network_conditioner",
    "ld_install_failure_budget",
    "ld_install_network_conditioner",
    "ld_uninstall_failure_budget",
    "ld_uninstall_network_conditioner",
    "uninstall_failure_budget",
    "uninstall_network_conditioner",
]


def install_failure_budget(
    threshold: float = 0.05,
    window_seconds: float = 30.0,
    min_samples: int = 50,
    runner_quit_callback: Callable[[], object] | None = None,
) -> FailureBudget:
    """End every load of this session that starts from now on, within a second, once its failures use up the budget.

    Its verdict is then failed, and the reason says budget, window, rate and samples; `start_test` returns its summary as ever.
    Counting starts anew with each load, over all of its engine processes; an attempt that a retry replaced does not count.
    `runner_quit_callback` is called once for each load that is ended, on the thread of `start_test`, after the stop was asked
    for; what it raises, for example CircuitOpenError, comes out of `start_test` once the load has ended. A budget that was
    installed before is replaced. The budget that is returned shows the live counts; its `trip()` ends a running load too.

    >>> install_failure_budget(threshold=0.01, min_samples=100).is_breached()
    False
    >>> uninstall_failure_budget()
    """
    budget = FailureBudget(threshold, window_seconds, min_samples)
    current_session().budget = InstalledBudget(budget, runner_quit_callback)
    return budget


def uninstall_failure_budget() -> None:
    """Loads that start from now on run without a budget; a load that runs keeps the one it started with."""
    current_session().budget = None


def install_network_conditioner(
    latency_ms: float = 0.0, jitter_ms: float = 0.0, loss_rate: float = 0.0, name_filter: str | None = None
) -> NetworkConditioner:
    """Worsen the network of every load of this session that starts from now on; see `NetworkConditioner`.

    `name_filter`: only steps with this text in their name, or, where they have none, in their URL. With a `seed` in
    LD_start_test the same attempts of a user are lost and delayed in every run. What was installed before is replaced.

    >>> install_network_conditioner(latency_ms=50, jitter_ms=20, loss_rate=0.01, name_filter="/checkout")
    NetworkConditioner(latency_ms=50, jitter_ms=20, loss_rate=0.01, name_filter='/checkout')
    >>> uninstall_network_conditioner()
    """
    conditioner = NetworkConditioner(latency_ms, jitter_ms, loss_rate, name_filter)
    current_session().network = conditioner
    return conditioner


def uninstall_network_conditioner() -> None:
    """Loads that start from now on use the network as it is; a load that runs keeps its conditions."""
    current_session().network = None


def ld_install_failure_budget(threshold: float = 0.05, window_seconds: float = 30.0, min_samples: int = 50) -> dict[str, Any]:
    """End every later load of this script, within a second, once more than `threshold` of its hits fail; its verdict is failed.

    The rate is that of the last `window_seconds`, and needs `min_samples` hits in them. Counting starts anew with each load;
    an attempt that a retry replaced does not count.
    """
    install_failure_budget(threshold, window_seconds, min_samples)
    return {"status": "installed", "threshold": threshold, "window_seconds": window_seconds, "min_samples": min_samples}


def ld_uninstall_failure_budget() -> dict[str, str]:
    """Let later loads run without a failure budget; does no harm where none is installed."""
    uninstall_failure_budget()
    return {"status": "uninstalled"}


def ld_install_network_conditioner(
    latency_ms: float = 0.0, jitter_ms: float = 0.0, loss_rate: float = 0.0, name_filter: str | None = None
) -> dict[str, Any]:
    """Make the network of every later load of this script worse: `latency_ms` ± `jitter_ms` per attempt, a share lost.

    Added latency is part of the measured time. A lost attempt is a failed hit of the kind "dropped"; nothing is sent, and the
    step's `retry` sees it as transient. `name_filter`: only steps with this text in their name, or else in their URL.
    """
    return {"status": "installed", **asdict(install_network_conditioner(latency_ms, jitter_ms, loss_rate, name_filter))}


def ld_uninstall_network_conditioner() -> dict[str, str]:
    """Let later loads use the network as it is; does no harm where nothing is installed."""
    uninstall_network_conditioner()
    return {"status": "uninstalled"}
