"""Installing from JSON and from Python: what comes back, and that sessions do not see each other's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import loadflow
from loadflow import FailureBudget, NetworkConditioner, ScriptError, Session, execute_action, use_session


@pytest.fixture(autouse=True)
def session() -> Iterator[Session]:
    with use_session(Session()) as session:
        yield session


def value(action: list[Any]) -> Any:
    results = execute_action([action])
    results.raise_for_failure()
    return results.results[0].value


RESULTS = [
    (["LD_install_failure_budget"], {"status": "installed", "threshold": 0.05, "window_seconds": 30.0, "min_samples": 50}),
    (["LD_install_failure_budget", [0.1, 5]], {"status": "installed", "threshold": 0.1, "window_seconds": 5, "min_samples": 50}),
    (
        ["LD_install_failure_budget", {"min_samples": 9}],
        {"status": "installed", "threshold": 0.05, "window_seconds": 30.0, "min_samples": 9},
    ),
    (["LD_uninstall_failure_budget"], {"status": "uninstalled"}),
    (
        ["LD_install_network_conditioner", {"latency_ms": 50, "jitter_ms": 20, "loss_rate": 0.01, "name_filter": "/checkout"}],
        {"status": "installed", "latency_ms": 50, "jitter_ms": 20, "loss_rate": 0.01, "name_filter": "/checkout"},
    ),
    (
        ["LD_install_network_conditioner"],
        {"status": "installed", "latency_ms": 0.0, "jitter_ms": 0.0, "loss_rate": 0.0, "name_filter": None},
    ),
    (["LD_uninstall_network_conditioner"], {"status": "uninstalled"}),
]


@pytest.mark.parametrize(("action", "expected"), RESULTS, ids=[json.dumps(row[0]) for row in RESULTS])
def test_a_command_gives_what_json_can_hold(action: list[Any], expected: dict[str, Any]) -> None:
    assert json.loads(json.dumps(value(action))) == expected


MISTAKES = [
    ("LD_install_failure_budget", {"treshold": 0.1}, "did you mean 'threshold'"),
    ("LD_install_failure_budget", {"threshold": 5}, "threshold"),
    ("LD_install_failure_budget", {"window_seconds": 0}, "window_seconds"),
    ("LD_install_failure_budget", {"min_samples": 0}, "min_samples"),
    ("LD_install_failure_budget", {"runner_quit_callback": "quit"}, "runner_quit_callback"),
    ("LD_install_failure_budget", [0.1, 30, 50, None], "takes 3 arguments"),
    ("LD_uninstall_failure_budget", {"force": True}, "force"),
    ("LD_install_network_conditioner", {"latency": 5}, "did you mean 'latency_ms'"),
    ("LD_install_network_conditioner", {"latency_ms": -5}, "latency_ms"),
    ("LD_install_network_conditioner", {"loss_rate": "1%"}, "loss_rate"),
]


@pytest.mark.parametrize(("name", "arguments", "told"), MISTAKES, ids=[f"{row[0]} {row[1]}" for row in MISTAKES])
def test_a_mistake_is_told_before_anything_runs(name: str, arguments: Any, told: str, session: Session) -> None:
    with pytest.raises(ScriptError, match=told):
        execute_action([["LD_install_network_conditioner"], [name, arguments]])
    assert session.network is None


def test_python_gets_the_objects(session: Session) -> None:
    budget = loadflow.install_failure_budget(threshold=0.5, window_seconds=5, min_samples=3, runner_quit_callback=lambda: None)
    assert isinstance(budget, FailureBudget)
    assert session.budget is not None
    assert session.budget.budget is budget
    assert loadflow.install_network_conditioner(5, 1, 0.5, "x") == NetworkConditioner(5, 1, 0.5, "x") == session.network


def test_a_second_one_replaces_the_first_and_uninstalling_twice_does_no_harm(session: Session) -> None:
    first, second = loadflow.install_failure_budget(), loadflow.install_failure_budget()
    assert session.budget is not None
    assert session.budget.budget is second is not first
    for _ in range(2):
        loadflow.uninstall_failure_budget()
        loadflow.uninstall_network_conditioner()
        assert (session.budget, session.network) == (None, None)


def test_sessions_do_not_see_each_others(session: Session) -> None:
    loadflow.install_failure_budget()
    with use_session(Session()) as other:
        assert (other.budget, other.network) == (None, None)
        value(["LD_install_network_conditioner", {"latency_ms": 5}])
        loadflow.uninstall_failure_budget()
    assert session.budget is not None
    assert session.network is None


def test_all_of_it_is_reexported_at_the_top() -> None:
    documented = (
        "AdaptiveRetryPolicy CircuitOpenError FailureBudget NetworkConditioner ProcessSupervisor RetryDecision classify_error "
        "install_failure_budget install_network_conditioner run_with_retry uninstall_failure_budget uninstall_network_conditioner "
        "with_watchdog"
    )
    for name in documented.split():
        assert name in dir(loadflow)
        assert callable(getattr(loadflow, name))
