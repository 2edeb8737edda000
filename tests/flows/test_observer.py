"""While load runs: a cancel of any flow run above it is noticed, and a Prefect API that is away disturbs nothing."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Cancelling, State

from loadflow.engine.records.health import Health
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.reports.links import REPORTS_URL_VARIABLE
from loadflow.engine.script.command import Command, Policy
from loadflow.engine.session.session import current_session
from loadflow.errors import Interrupted
from loadflow.flows import compile_script, observer
from loadflow.flows.observer import FlowObserver
from tests.flows.commands import session_with, synthetic_run
from tests.flows.stored import stored_of
from tests.prefect_servers import ASK_S
from tests.waiting import wait_for

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
    reason = wait_for("the request to stop", lambda: watcher.stop_requested() or None, every_s=0.02)
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


@pytest.mark.parametrize("how", ["a subflow", "a subflow of a task", "a subflow of a subflow"])
def test_a_cancel_of_a_flow_run_above_ends_the_load(tmp_path: Path, how: str) -> None:
    """Prefect hands a cancel to no flow run below; the load looks up to the root."""
    outer: list[Any] = []
    long = Command("load_long", lambda: load_until_stopped(tmp_path / "run", lambda: cancel(outer[0], Cancelling())), "", Policy())

    def load() -> None:
        outer.append(compile_script([["load_long"]], session=session_with(long))(return_state=True))

    below: dict[str, Any] = {
        "a subflow": load,
        "a subflow of a task": task(load, persist_result=False),
        "a subflow of a subflow": flow(load, name="between", persist_result=False),
    }

    @flow(persist_result=False, validate_parameters=False)
    def job() -> None:
        outer.append(flow_run.id)
        below[how]()

    job(return_state=True)
    state = outer[1]
    assert (state.type, state.name) == (StateType.CANCELLED, "Cancelled")
    assert "the flow run above this one is cancelling" in state.message


def test_a_running_load_says_in_the_log_how_it_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observer, "LINE_S", 0.1)
    monkeypatch.setattr(observer, "LINE_MOST_S", 0.1)
    said = threading.Event()

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().startswith("0:01 of 0:30 · 5 users"):
                said.set()

    logger = logging.Logger("of this test")
    logger.addHandler(Lines())
    run = synthetic_run(tmp_path / "run")
    watcher = FlowObserver(logger)
    watcher.run_started(run)
    watcher.snapshot(run, Snapshot(0, 0.0, run.fold(), Health(users=5), 30.0))
    assert said.wait(30)
    watcher.run_ended(run, run.summary())


def test_an_api_that_is_away_costs_a_bounded_time_and_fails_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(observer, "END_S", 1.0)
    monkeypatch.setattr(observer, "AWAY_S", 1.0)
    run = synthetic_run(tmp_path / "run")
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES: 3}):
        watcher = FlowObserver(logging.getLogger("test"))
        started = time.monotonic()
        watcher.run_started(run)
        assert watcher.stop_requested() == ""
        watcher.run_ended(run, run.summary())
        assert time.monotonic() - started < 5
    assert "the Prefect API is slow or away" in caplog.text or "could not be written" in caplog.text


def test_artifacts_wait_for_an_api_that_refuses_connections_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As a server does that is restarted when a load ends."""
    refused = iter([True] * 20)
    monkeypatch.setattr(observer, "END_S", 60.0)
    monkeypatch.setattr(observer, "is_refused", lambda url: next(refused, False))
    state = compile_script([["load", {"label": "while-away"}]], session=session_with())(return_state=True)
    assert next(refused, None) is None, "the artifacts did not wait"
    assert {"markdown", "progress"} <= {one.type for key, one in stored_of(state).items() if "while-away" in key}
    assert "the Prefect API refuses connections; the artifacts wait for it" in caplog.text


@pytest.mark.parametrize(("url", "refused"), [("", False), (None, False), ("http://127.0.0.1:x/api", False)])
def test_what_can_not_be_told_is_no_refusal(url: str | None, refused: bool) -> None:
    assert observer.is_refused(url) is refused


def test_a_port_where_nobody_listens_refuses() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
        assert not observer.is_refused(url)
    assert observer.is_refused(url)


def test_the_observer_leaves_the_session_when_the_flow_is_over() -> None:
    before = set(threading.enumerate())
    session = session_with()
    compile_script([["load"]], session=session)(return_state=True)
    assert session.observers == []
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name == "loadflow-prefect"]


def test_a_load_says_where_it_can_be_watched_from_its_first_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(REPORTS_URL_VARIABLE, "https://reports.test/load/")
    address = "https://reports.test/load/20260921-141320-smoke-1f2e3d4c/report.html"
    found: list[Any] = []

    def look() -> None:
        found.extend(wait_for("the link", lambda: links(address) or None, 30, every_s=ASK_S))
        cancel(flow_run.id, Cancelling())

    command = Command("load_long", lambda: load_until_stopped(tmp_path / "run", look), "", Policy())
    with caplog.at_level(logging.INFO):
        compile_script([["load_long"]], session=session_with(command))(return_state=True)
    assert "[Live page]" in found[0].data
    assert found[0].key == "loadflow-smoke"
    assert found[0].description.startswith("Running: ")
    (said,) = [line.getMessage() for line in caplog.records if "load starts" in line.getMessage()]
    assert f"live page {address};" in said
    (last,) = [one for one in links(address) if one.id != found[0].id]
    assert "[HTML report]" in last.data, "the report stands in its place"


def links(address: str) -> list[Any]:
    """The artifacts that link there."""
    with get_client(sync_client=True) as client:
        return [one for one in client.read_artifacts() if one.key == "loadflow-smoke" and address in str(one.data)]
