"""The Prefect server that the worker shares, for all tests of this folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect import context
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import TaskRun
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_HOME,
    PREFECT_LOGGING_TO_API_ENABLED,
    temporary_settings,
)

from tests.prefect_servers import ASK_S, shared_server
from tests.waiting import Patience

ROWS_WITHIN_S = 20.0  # task runs reach the server's database by way of its event queue


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Flows of this process run against it, in every thread: one without settings of its own has those of the process."""
    server = shared_server()
    settings: dict[Any, Any] = {
        PREFECT_API_URL: server.url,
        PREFECT_HOME: tmp_path_factory.mktemp("prefect"),
        PREFECT_LOGGING_TO_API_ENABLED: False,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,  # its thread takes a second to join, for each flow
    }
    with temporary_settings(settings), pytest.MonkeyPatch.context() as patch:
        patch.setattr(context, "GLOBAL_SETTINGS_CONTEXT", context.get_settings_context())
        yield
    server.close()


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run folders and reports of a test stay in its own folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOADFLOW_RUNS_DIR", raising=False)
    monkeypatch.delenv("LOADFLOW_REPORTS_URL", raising=False)


@pytest.fixture
def task_runs(prefect_server: None) -> Callable[[Any, int], list[TaskRun]]:
    """`task_runs(flow_run_id, n)`: its task runs in the order they started, once there are n."""

    def read(flow_run_id: Any, count: int) -> list[TaskRun]:
        patience = Patience(ROWS_WITHIN_S)
        with get_client(sync_client=True) as client:
            while True:
                found = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id])))
                ended = [run for run in found if run.state is not None and run.state.is_final()]
                if len(ended) >= count:
                    return sorted(found, key=lambda run: (run.start_time is None, run.start_time, run.name))
                if patience.is_over():
                    raise AssertionError(f"{len(found)} of {count} task runs after {ROWS_WITHIN_S} s")
                time.sleep(ASK_S / 2)

    return read
