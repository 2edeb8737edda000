"""The flow's rules about its target: blocks, secrets, allowed hosts, one load at a time, and a start that is too late."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect import flow
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.concurrency.sync import concurrency
from prefect.runtime import flow_run
from prefect.states import Scheduled

from loadflow.flows import run_script
from loadflow.flows.blocks import LoadflowStore, LoadTarget
from loadflow.flows.lease import lease_name, target_lease
from tests.targets.fixture import Target

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]


def script(url: str, **more: Any) -> list[Any]:
    step = {"method": "get", "request_url": url, **more}
    return [["LD_start_test", {"user_detail_dict": {"user": "fast_http_user"}, "user_count": 1, "iterations": 2, "tasks": [step]}]]


@pytest.fixture
def name() -> Iterator[str]:
    """Blocks stay in the server for the other tests."""
    yield f"own-{uuid4().hex[:8]}"


def test_a_target_block_gives_address_headers_and_secrets_which_are_written_nowhere(target: Target, tmp_path: Path, name: str) -> None:
    Secret(value="s3cret-of-the-shop").save(name)
    LoadTarget(base_url=target.url, headers={"X-Api-Key": f"${{secret.{name}}}", "X-Kind": "load"}).save(name)
    state = run_script(script=script(f"/ok?own={name}", headers={"x-kind": "mine"}), target=name, exclusive=False, return_state=True)
    assert state.name == "Completed", state.message
    received = [record for record in target.records("/ok") if record.target.endswith(f"own={name}")]
    fields = [{key.lower(): value for key, value in record.headers} for record in received]
    assert [(one["x-api-key"], one["x-kind"]) for one in fields] == [("s3cret-of-the-shop", "mine")] * 2
    written = [path for path in tmp_path.rglob("*") if path.is_file() and b"s3cret-of-the-shop" in path.read_bytes()]
    assert written == []


@pytest.mark.parametrize(
    ("allowed", "said"),
    [([], "allowed: shop.example"), (["*.example", "10.0.0.0/8"], "allowed: *.example, 10.0.0.0/8")],
    ids=["the block's own host", "the block's list"],
)
def test_a_host_that_the_block_does_not_allow_is_not_asked(name: str, allowed: list[str], said: str) -> None:
    LoadTarget(base_url="http://shop.example", allowed_hosts=allowed).save(name)
    state = run_script(script=script("http://other.test/"), target=name, exclusive=False, return_state=True)
    assert state.is_failed()
    assert "other.test may not be loaded here" in str(state.message)
    assert said in str(state.message)


@pytest.mark.parametrize("parameter", ["target", "store"])
def test_a_block_that_is_not_there_fails_the_run_before_anything_is_sent(target: Target, parameter: str) -> None:
    state = run_script(script=script(target.url), **{parameter: "nowhere"}, return_state=True)
    assert state.name == "Error"
    assert f"{parameter}: there is no" in str(state.message)


def test_store_commands_that_name_no_database_use_the_block(target: Target, tmp_path: Path, name: str) -> None:
    LoadflowStore(url=f"sqlite:///{tmp_path}/runs.db").save(name)
    document = [*script(f"{target.url}/ok"), ["LD_persist_records"], ["LD_list_runs"]]
    state = run_script(script=document, store=name, exclusive=False, return_state=True)
    assert state.name == "Completed", state.message
    assert (tmp_path / "runs.db").is_file()


def test_a_target_that_another_load_holds_is_not_loaded_a_second_time(target: Target) -> None:
    url = f"{target.url}/ok?held"
    with target_lease()(target.url):
        state = run_script(script=script(url), return_state=True)
    assert (state.type.value, state.name) == ("CANCELLED", "Skipped")
    assert "another load is on this target" in str(state.message)
    assert not [record for record in target.records("/ok") if record.target.endswith("?held")]
    assert run_script(script=script(url), return_state=True).is_completed()
    with concurrency(lease_name(target.url), timeout_seconds=5, strict=True):
        pass  # the run gave it back


def test_a_run_that_starts_too_late_skips_itself(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    due = datetime.now(UTC) - timedelta(hours=2)
    # the package exports a flow of the module's name
    monkeypatch.setattr(importlib.import_module("loadflow.flows.run_script"), "_due", lambda: due)
    state = run_script(script=script(f"{target.url}/ok?late"), max_delay=3600, return_state=True)
    assert (state.type.value, state.name) == ("CANCELLED", "Skipped")
    assert "after its time" in str(state.message)
    assert not [record for record in target.records("/ok") if record.target.endswith("?late")]
    assert run_script(script=script(f"{target.url}/ok?late"), max_delay=3 * 3600, exclusive=False, return_state=True).is_completed()


def test_a_retry_of_the_next_morning_is_not_late(target: Target) -> None:
    """It counts from when the run was scheduled last; a wait for its deployment's slot moves nothing."""
    day = timedelta(days=1)
    night, now = datetime.now(UTC) - day, datetime.now(UTC)

    def late(*states: tuple[str, datetime]) -> Any:
        def run() -> Any:
            with get_client(sync_client=True) as client:
                for name, at in states:
                    asked = Scheduled(name=name, scheduled_time=at)
                    client.set_flow_run_state(UUID(flow_run.id), asked, force=True)
            return importlib.import_module("loadflow.flows.run_script")._late_s()

        return flow(run, name="late")()

    assert late(("Scheduled", night)) == pytest.approx(day.total_seconds(), abs=60)
    assert late(("Scheduled", night), ("AwaitingRetry", now)) < 60
    assert late(("Scheduled", night), ("AwaitingConcurrencySlot", now)) == pytest.approx(day.total_seconds(), abs=60)


def test_the_names_of_leases() -> None:
    """Two ports of a host are two systems; loopback is each machine's own."""
    assert lease_name("https://a.example") != lease_name("https://b.example")
    assert lease_name("http://a.example:1") != lease_name("http://a.example:2")
    assert lease_name("http://a.example:1") == lease_name("a.example:1")
    assert "127.0.0.1" not in lease_name("http://127.0.0.1:80")
