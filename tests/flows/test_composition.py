"""examples/composition: a load among the tasks of a data job, with its load as a subflow."""

from __future__ import annotations

import importlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId

from tests.flows.stored import stored_of
from tests.targets.shop import access_rows, running_shop

pytestmark = pytest.mark.prefect
COMPOSITION = Path(__file__).resolve().parents[2] / "examples" / "composition"


@pytest.fixture
def examples(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    monkeypatch.syspath_prepend(str(COMPOSITION))
    return importlib.import_module


@pytest.fixture
def example(examples: Callable[[str], ModuleType]) -> ModuleType:
    return examples("data_job")


def table(state: Any, key: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(str(stored_of(state)[key].data))
    return rows


def route(row: Mapping[str, str]) -> tuple[str, str]:
    path = "/products/{id}" if row["path"].startswith("/products/") else row["path"]
    return row["method"], path


@pytest.mark.usefixtures("prefect_server")
def test_the_table_counts_what_the_shop_counted_and_users_wait_longer_than_it_says(example: ModuleType, tmp_path: Path) -> None:
    log = tmp_path / "access.csv"
    with running_shop(log) as base:
        state: Any = example.data_job(base, log, tmp_path / "job", seconds=2, return_state=True)
    assert state.is_completed(), state
    rows = table(state, "client-and-server")
    received = Counter(route(row) for row in access_rows(log))
    assert received.pop(("POST", "/accounts")) == 20
    assert {route for route, _ in received.items()} == set(example.ROUTES.values())
    for name, place in example.ROUTES.items():
        of_name = [row for row in rows if row["name"] == name]
        assert [sum(row[column] for row in of_name) for column in ("requests", "served", "failed")] == [received[place]] * 2 + [0]
    slow = [row for row in rows if row["name"] == "recommendations" and row["requests"] == row["served"]]
    assert slow
    assert all(150 <= row["server_p95_ms"] <= row["client_p95_ms"] for row in slow)


@pytest.mark.usefixtures("prefect_server")
def test_a_load_that_did_not_pass_is_compared_too_and_its_verdict_is_the_jobs(
    example: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The load is a subflow of the job; one of its routes does not exist, and that is a table's row with as many failures."""
    monkeypatch.setitem(example.ROUTES, "nothing", ("GET", "/nothing"))
    log = tmp_path / "access.csv"
    with running_shop(log) as base:
        state: Any = example.data_job(base, log, tmp_path / "job", seconds=1, return_state=True)
    job = state.state_details.flow_run_id
    with get_client(sync_client=True) as client:
        (load,) = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[job])),
        )
    assert load.state is not None
    assert (state.name, state.message) == (load.state.name, load.state.message)
    missing = Counter(row["path"] for row in access_rows(log))["/nothing"]
    assert missing > 0
    assert state.message.startswith(f"failed: {missing} of ")


@pytest.mark.usefixtures("prefect_server")
def test_a_matrix_is_one_load_after_the_other_and_a_row_for_each(examples: Callable[[str], ModuleType], tmp_path: Path) -> None:
    log = tmp_path / "access.csv"
    with running_shop(log) as base:
        state: Any = examples("matrix").matrix(base, 1, [1, 3], return_state=True)
    assert state.is_completed(), state
    assert [(row["users"], row["verdict"]) for row in table(state, "matrix")] == [(1, "passed"), (3, "passed")]
    assert len(access_rows(log)) > 0


@pytest.mark.usefixtures("prefect_server")
def test_a_release_stays_when_its_load_passes_and_is_taken_back_when_it_does_not(
    examples: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    current = tmp_path / "current.txt"
    release = examples("rollback").release
    with running_shop(tmp_path / "access.csv") as base:
        good: Any = release(base, current, "r1", 1, return_state=True)
        assert (good.is_completed(), current.read_text()) == (True, "r1"), good
        bad: Any = release(base, current, "r2", 1, "/nothing", return_state=True)
    assert (bad.name, bad.message.startswith("failed: "), current.read_text()) == ("Failed", True, "r1")
