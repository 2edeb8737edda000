"""Installs failure budgets and network conditions in the current session, for Python; the commands of these names call it."""

from __future__ import annotations

from collections.abc import Callable

from loadflow.engine.plan.conditioner import NetworkConditioner
from loadflow.engine.reliability.budget import FailureBudget, InstalledBudget
from loadflow.engine.session.session import current_session

__all__ = [
    "install_failure_budget",
    "install_network_conditioner",
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
