"""While load runs: a cancel of any flow run above it is noticed, and a Prefect API that is away disturbs nothing."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Cancelling, State

from loadflow.engine.command import Command, Policy
from loadflow.engine.session import current_session
from loadflow.errors import Interrupted
from loadflow.flows import compile_script, observer
from loadflow.flows.observer import FlowObserver
from tests.flows.commands import session_with, synthetic_run

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]


@pytest.fixture(autouse=True)
def quick_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observer, "POLL_S", 0.1)


def load_until_stopped(folder: Path, started: Callable[[], None]) -> None:
    """As LD_start_test does: asks the observers until one of them gives a reason, then tells them of the end."""
    session = current_session()
    run = synthetic_run(folder)
    session.keep(run)
    (watcher,) = session.observers
    watcher.run_started(run)
    started()
    until = time.monotonic() + 30
    while not (reason := watcher.stop_requested()) and time.monotonic() < until:
        time.sleep(0.02)
    watcher.run_ended(run, run.summary())
    raise Interrupted(f"the load was stopped: {reason}")


def cancel(flow_run_id: Any, state: State[Any]) -> None:
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run_id, state, force=True)


def test_a_cancelled_flow_run_ends_its_load_and_is_cancelled(tmp_path: Path) -> None:
    command = Command("load_long", lambda: load_until_stopped(tmp_path / "run", lambda: cancel(flow_run.id, Cancelling())), "", Policy())
    state: Any = compile_script([["load_long"]], session=session_with(command))(return_state=True)
    assert (state.type, state.name) == (StateType.CANCELLED, "Cancelled")
    assert "the flow run is cancelling" in state.message


def test_a_cancel_of_the_outer_flow_run_ends_load_in_a_nested_script(tmp_path: Path) -> None:
    outer: list[Any] = []

    def remember() -> None:
        outer.append(flow_run.id)

    long = Command("load_long", lambda: load_until_stopped(tmp_path / "run", lambda: cancel(outer[0], Cancelling())), "", Policy())
    session = session_with(long, Command("remember", remember, "", Policy()))
    state: Any = compile_script([["remember"], ["LD_execute_action", [[["load_long"]]]]], session=session)(return_state=True)
    assert (state.type, state.name) == (StateType.CANCELLED, "Cancelled")


def test_an_api_that_is_away_costs_a_bounded_time_and_fails_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(observer, "END_S", 1.0)
    run = synthetic_run(tmp_path / "run")
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 3}):
        watcher = FlowObserver(logging.getLogger("test"))
        started = time.monotonic()
        watcher.run_started(run)
        assert watcher.stop_requested() == ""
        watcher.run_ended(run, run.summary())
        assert time.monotonic() - started < 5
    assert "the Prefect API is slow or away" in caplog.text or "could not be written" in caplog.text


def test_the_observer_leaves_the_session_when_the_flow_is_over() -> None:
    before = set(threading.enumerate())
    session = session_with()
    compile_script([["load"]], session=session)(return_state=True)
    assert session.observers == []
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name == "loadflow-prefect"]
