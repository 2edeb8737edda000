"""Budget and conditioner on real load; the truth is what the recording target received."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadflow import (
    CircuitOpenError,
    FailureBudget,
    Observer,
    Run,
    Session,
    execute_action,
    install_failure_budget,
    install_network_conditioner,
    start_test,
    uninstall_failure_budget,
    uninstall_network_conditioner,
    use_session,
)
from loadflow.engine.records.judge import EndReason
from loadflow.engine.records.outcome import HitFlag, Outcome
from tests.targets.fixture import Target

USERS = ("fast_http_user", "http_user")  # the core, and Locust
pytestmark = pytest.mark.processes


@pytest.fixture(autouse=True)
def session(tmp_path: Path, target: Target) -> Iterator[Session]:
    target.reset()
    with use_session(Session(runs_dir=tmp_path / "runs")) as session:
        yield session


def asked(target: Target, path: str, user: str = "fast_http_user", step: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "user_detail_dict": {"user": user},
        "user_count": 4,
        "spawn_rate": 1000,
        "test_time": 60,
        "tasks": [{"method": "get", "request_url": f"{target.url}{path}", **(step or {})}],
        **more,
    }


@pytest.mark.parametrize(("user", "processes"), [("fast_http_user", 1), ("http_user", 1), ("fast_http_user", 2)])
def test_from_json_the_load_ends_within_a_second_as_failed(user: str, processes: int, target: Target, session: Session) -> None:
    """Four users, 20 hits a second each: 40 samples are there after half a second, and the load had a minute."""
    results = execute_action(
        [
            ["LD_install_failure_budget", {"threshold": 0.2, "window_seconds": 10, "min_samples": 40}],
            ["LD_start_test", asked(target, "/status/500", user, wait_time=0.05, processes=processes)],
            ["LD_uninstall_failure_budget"],
        ]
    )
    assert results.ok
    assert results.verdict.kind == "failed"
    (reason,) = results.verdict.reasons
    assert reason.startswith("the failure budget was used up ")
    assert reason.endswith("failed (100%); the budget allows 20% in 10 s")
    (run,) = session.runs
    end = run.end()
    assert (end.reason, end.message) == (EndReason.BUDGET, reason)
    summary = results.results[1].value
    assert summary["verdict"] == {**summary["verdict"], "verdict": "failed", "reasons": [reason]}
    assert Path(summary["run_dir"], "report.html").exists()
    # when the 40th hit had ended, and when the last request arrived
    enough_s = float(np.sort(run.hits()["end_ns"])[39]) / 1e9
    assert float(run.hits()["start_ns"].max()) / 1e9 - enough_s < 1.0
    assert target.counts() == {"/status/500": len(run.hits())}
    assert len(run.hits()) >= 40


def test_the_budget_sees_all_processes(target: Target) -> None:
    """Each of the two alone never has 30 samples."""
    install_failure_budget(threshold=0.5, window_seconds=60, min_samples=30)
    summary = start_test(**asked(target, "/status/503", user_count=2, iterations=20, processes=2))
    assert summary["verdict"]["verdict"] == "failed"
    assert "the failure budget was used up" in summary["verdict"]["reasons"][0]
    assert 30 <= target.counts()["/status/503"] <= 40


def test_a_good_load_runs_to_its_end(target: Target) -> None:
    budget = install_failure_budget(threshold=0.0, min_samples=1)
    summary = start_test(**asked(target, "/ok", iterations=50))
    assert summary["verdict"]["verdict"] == "passed"
    assert target.counts() == {"/ok": 200}
    assert budget.sample_count() == 200
    assert not budget.tripped


def test_failures_within_the_budget_are_judged_by_the_end_as_ever(target: Target) -> None:
    install_failure_budget(threshold=0.9, min_samples=1)
    steps = [{"method": "get", "request_url": f"{target.url}{path}"} for path in ("/ok", "/status/500")]
    summary = start_test(**asked(target, "", iterations=20, user_count=1) | {"tasks": steps})
    assert summary["verdict"]["reasons"] == ["20 of 40 hits failed (50.00%); max_failure_rate allows none"]


def test_the_callback_is_called_once_and_the_load_ends(target: Target) -> None:
    calls: list[bool] = []
    budget = install_failure_budget(0.1, 10, 10, runner_quit_callback=lambda: calls.append(budget.tripped))
    summary = start_test(**asked(target, "/status/500", wait_time=0.05))
    assert calls == [True]
    assert "was used up" in summary["verdict"]["reasons"][0]
    summary = start_test(**asked(target, "/status/500", wait_time=0.05))
    assert calls == [True, True]
    assert "was used up" in summary["verdict"]["reasons"][0]


def test_what_the_callback_raises_comes_out_once_the_load_is_over(target: Target, session: Session) -> None:
    def callback() -> None:
        raise CircuitOpenError("enough")

    install_failure_budget(0.1, 10, 10, callback)
    results = execute_action([["LD_start_test", asked(target, "/status/500", wait_time=0.05)]])
    assert isinstance(results.results[0].error, CircuitOpenError)
    assert results.verdict.kind == "failed"
    assert session.runs[0].end().reason is EndReason.BUDGET
    assert target.counts() == {"/status/500": len(session.runs[0].hits())}


def test_a_trip_by_hand_ends_a_running_load(target: Target, session: Session) -> None:
    budget = install_failure_budget()

    class Tripper(Observer):
        def run_started(self, run: Run) -> None:
            pass

        def stop_requested(self) -> str:
            if target.counts().get("/ok", 0) > 20:
                budget.trip()
            return ""

    session.observers.append(Tripper())
    summary = start_test(**asked(target, "/ok", wait_time=0.05))
    assert summary["verdict"]["verdict"] == "failed"
    assert "by hand" in summary["verdict"]["reasons"][0]


def test_another_sessions_budget_and_network_change_nothing(target: Target, tmp_path: Path) -> None:
    install_failure_budget(threshold=0.0, min_samples=1)
    install_network_conditioner(loss_rate=1.0)
    with use_session(Session(runs_dir=tmp_path / "other")):
        summary = start_test(**asked(target, "/status/500", iterations=5))
    assert summary["verdict"]["reasons"] == ["20 of 20 hits failed (100.00%); max_failure_rate allows none"]
    assert target.counts() == {"/status/500": 20}


def test_after_uninstalling_loads_are_as_before(target: Target) -> None:
    install_failure_budget(threshold=0.0, min_samples=1)
    install_network_conditioner(loss_rate=1.0)
    uninstall_failure_budget()
    uninstall_network_conditioner()
    assert start_test(**asked(target, "/status/500", iterations=5))["totals"]["failures"] == 20
    assert target.counts() == {"/status/500": 20}


# -- conditions


@pytest.mark.parametrize("user", USERS)
def test_lost_attempts_are_hits_that_the_step_retries_as_transient(user: str, target: Target, session: Session) -> None:
    install_network_conditioner(loss_rate=0.4)
    retry = {"retry": {"transient": 60, "flaky": 0, "base_delay": 0.001, "max_delay": 0.002}}
    summary = start_test(**asked(target, "/ok", user, retry, iterations=25, seed=5))
    hits = session.runs[0].hits()
    lost = hits[hits["outcome"] == Outcome.DROPPED]
    assert target.counts() == {"/ok": 100}
    assert len(hits) == 100 + len(lost)
    assert 30 < len(lost) < 120  # 67 are to be expected
    assert (lost["flags"] & HitFlag.SUPERSEDED).all()
    assert not lost["sent_bytes"].any()
    assert summary["verdict"]["verdict"] == "passed"


def test_without_a_retry_what_is_lost_has_failed(target: Target, session: Session) -> None:
    install_network_conditioner(loss_rate=1.0)
    summary = start_test(**asked(target, "/ok", iterations=5))
    assert target.counts() == {}
    assert {Outcome(outcome) for outcome in session.runs[0].hits()["outcome"]} == {Outcome.DROPPED}
    assert summary["verdict"]["reasons"] == ["20 of 20 hits failed (100.00%); max_failure_rate allows none"]


def test_what_is_lost_uses_up_a_failure_budget(target: Target) -> None:
    install_network_conditioner(loss_rate=1.0)
    install_failure_budget(min_samples=10)
    summary = start_test(**asked(target, "/ok"))
    assert "the failure budget was used up" in summary["verdict"]["reasons"][0]
    assert target.counts() == {}


@pytest.mark.parametrize("user", USERS)
def test_added_latency_is_in_the_measured_time(user: str, target: Target, session: Session) -> None:
    install_network_conditioner(latency_ms=80, jitter_ms=30)
    start_test(**asked(target, "/ok", user, iterations=10, seed=5))
    hits = session.runs[0].hits()
    times_ms = (hits["end_ns"] - hits["start_ns"]) / 1e6
    assert len(times_ms) == 40
    assert times_ms.min() >= 50
    assert times_ms.max() - times_ms.min() > 20  # of jitter
    assert 60 < float(np.median(times_ms)) < 400


def test_a_filter_selects_steps_by_name(target: Target, session: Session) -> None:
    install_network_conditioner(loss_rate=1.0, name_filter="check")
    paths = {"/ok?a": "checkout", "/ok?b": "cart", "/ok?check": None}
    steps = [{"method": "get", "request_url": f"{target.url}{path}", **({"name": name} if name else {})} for path, name in paths.items()]
    start_test(**asked(target, "", iterations=5, user_count=1) | {"tasks": steps})
    assert Counter(record.target for record in target.records()) == {"/ok?b": 5}


def test_a_seed_loses_the_same_attempts_again(target: Target, session: Session) -> None:
    install_network_conditioner(loss_rate=0.3)
    for _ in range(2):
        start_test(**asked(target, "/ok", iterations=50, user_count=2, seed=11))
    first, again = ([[int(hit["outcome"]) for hit in run.hits() if hit["user"] == user] for user in range(2)] for run in session.runs)
    assert first == again
    assert first[0] != first[1]


def test_the_run_folder_tells_of_the_conditions(target: Target, session: Session) -> None:
    install_network_conditioner(latency_ms=1)
    start_test(**asked(target, "/ok", iterations=1))
    assert session.runs[0].facts.plan["network"] == {"latency_ms": 1, "jitter_ms": 0.0, "loss_rate": 0.0, "name_filter": None}


def test_the_returned_budget_shows_the_live_rate(target: Target) -> None:
    budget: FailureBudget = install_failure_budget(threshold=1.0, min_samples=1)
    steps = [{"method": "get", "request_url": f"{target.url}{path}"} for path in ("/ok", "/status/500")]
    start_test(**asked(target, "", iterations=20, user_count=1) | {"tasks": steps})
    assert (budget.sample_count(), budget.failure_rate()) == (40, 0.5)
