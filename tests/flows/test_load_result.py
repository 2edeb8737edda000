"""A load as a value: what flows and tasks give, keep, cache and map over."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, task
from prefect.cache_policies import INPUTS
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.serializers import JSONSerializer, PickleSerializer
from prefect.states import Failed
from prefect.task_runners import ThreadPoolTaskRunner

from loadflow import LoadResult, NotPassed, Results, Run, RunError, load_of, loads_of, results_of, run_script, same_verdict, use_session
from loadflow.engine.base.verdict import VerdictKind
from tests.builders import build_run, deal, make_rows
from tests.flows.commands import session_with
from tests.targets.fixture import Target

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]
PASSED, FAILED = ["load", {"kind": "passed"}], ["load", {"kind": "failed"}]


def hits_script(target: Target, hits: int = 3) -> list[Any]:
    step = {"method": "get", "request_url": f"{target.url}/status/200", "name": "home"}
    settings = {"user_detail_dict": {"user": "fast_http_user"}, "user_count": 1, "spawn_rate": 1, "test_time": 30}
    return [["LD_start_test", {**settings, "tasks": [step], "iterations": hits}]]


def ran(script: list[Any], **more: Any) -> Any:
    with use_session(session_with()):
        return run_script(script=script, **more)


@pytest.mark.parametrize("serializer", [JSONSerializer(), PickleSerializer()], ids=["json", "pickle"])
@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("failing", [0.0, 0.3])
def test_serializers_give_it_back_equal_alone_and_in_others(tmp_path: Path, serializer: Any, shards: int, failing: float) -> None:
    run = deal(build_run(tmp_path / "run", make_rows(500, failure_rate=failing, arrival_rate=True)), shards)
    load = replace(LoadResult.of(run).among(Results()), flow_run_ids=("a", "b"))
    again = serializer.loads(serializer.dumps(load.among(Results())))
    assert again == load
    assert type(again.verdict) is VerdictKind
    assert again.results is None
    assert serializer.loads(serializer.dumps({"all": [load]})) == {"all": [load]}


def test_one_load_is_given_as_it_is_several_as_a_list_and_none_as_the_results_of_the_script() -> None:
    one, several, none = ran([PASSED]), ran([PASSED, PASSED]), ran([["len", ["four"]]])
    assert (type(one), one.verdict, one.passed, one.reasons) == (LoadResult, "passed", True, ())
    assert [type(load) for load in several] == [LoadResult, LoadResult]
    assert several[0].folder != several[1].folder
    assert none.results[0].value == 4


@pytest.mark.parametrize("script", [[PASSED], [PASSED, PASSED], [FAILED], [["len", ["four"]]], [["LD_execute_action", [[PASSED]]]]])
def test_the_state_gives_results_and_loads_whatever_the_verdict(script: list[Any]) -> None:
    state = ran(script, return_state=True)
    assert len(results_of(state).results) == len(script)
    assert len(loads_of(state)) == str(script).count("'load'")


def test_the_one_load_of_a_flow_that_did_not_pass() -> None:
    state = ran([FAILED], return_state=True)
    load = load_of(state)
    assert (load.verdict, load.overall.failures > 0, state.message.startswith(f"failed: {load.reasons[0]}")) == ("failed", True, True)
    with pytest.raises(NotPassed) as caught:
        ran([FAILED])
    assert [one.verdict for one in caught.value.results.loads] == ["failed"]
    with pytest.raises(ValueError, match="2 loads, not one"):
        load_of(ran([PASSED, PASSED], return_state=True))
    with pytest.raises(ZeroDivisionError):
        load_of(ran([["divmod", [1, 0]], PASSED], return_state=True))


def test_figures_by_name_and_a_name_that_is_not_there(tmp_path: Path) -> None:
    load = LoadResult.of(build_run(tmp_path, names=(("GET", "/items"), ("POST", "/items"), ("GET", "/search"))))
    assert load["/search"] == load["GET /search"] == load.names[[one.name for one in load.names].index("/search")]
    with pytest.raises(KeyError, match=r"several methods; say which: .*POST /items"):
        load["/items"]
    with pytest.raises(KeyError, match="did you mean '/search'"):
        load["/serch"]


@pytest.mark.parametrize(
    ("kind", "state_type", "name"),
    [
        ("passed", StateType.COMPLETED, "Completed"),
        ("failed", StateType.FAILED, "Failed"),
        ("inconclusive", StateType.FAILED, "Inconclusive"),
        ("interrupted", StateType.CANCELLED, "Interrupted"),
        ("error", StateType.FAILED, "Error"),
    ],
)
def test_a_flow_ends_as_its_load_did(kind: str, state_type: StateType, name: str) -> None:
    @flow
    def job(*, by_state: bool) -> Any:
        state = ran([["load", {"kind": kind}]], return_state=True)
        return same_verdict(state if by_state else load_of(state))

    for by_state in (True, False):
        end: Any = job(by_state=by_state, return_state=True)
        assert (end.type, end.name, end.message.startswith(kind)) == (state_type, name, True)


def test_the_verdict_of_several_is_the_worst_and_of_none_there_is_no_verdict() -> None:
    loads = loads_of(ran([PASSED, FAILED, PASSED], return_state=True))
    assert same_verdict(loads).type is StateType.FAILED
    assert same_verdict(Failed(name="Error", message="of the server")).name == "Error"
    with pytest.raises(ValueError, match="no load"):
        same_verdict([])


@pytest.mark.parametrize("serializer", ["json", "pickle"])
def test_a_cached_task_that_returns_a_load_does_not_load_again(serializer: str, target: Target) -> None:
    @task(cache_policy=INPUTS, persist_result=True, result_serializer=serializer)
    def load(release: str) -> Any:
        return run_script(script=hits_script(target), label=release)

    @flow
    def nightly() -> Any:
        first, again = load(f"r1-{serializer}"), load(f"r1-{serializer}")
        assert load(f"r2-{serializer}") != first
        return first, again

    target.reset()
    first, again = nightly()
    assert (first, first.overall.count) == (again, 3)
    assert target.counts() == {"/status/200": 6}


def test_flows_that_are_async_threads_tasks_and_maps_give_loads(target: Target) -> None:
    @task
    def load(number: int) -> LoadResult:
        return run_script(script=hits_script(target, number), label=f"of-{number}")

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
    def mapped() -> list[LoadResult]:
        return load.map([1, 2]).result()

    @flow
    async def composed() -> list[LoadResult]:
        here: Any = run_script(script=hits_script(target, 3))
        beside: Any = await asyncio.to_thread(run_script, script=hits_script(target, 4))
        return [here, beside]

    loads = [*mapped(), *asyncio.run(composed())]  # type: ignore[arg-type]
    assert [load["home"].count for load in loads] == [1, 2, 3, 4]


def test_the_runs_of_a_flow_run_are_found_by_it_and_by_its_subflows(tmp_path: Path) -> None:
    state = ran([PASSED, ["LD_execute_action", [[PASSED]]]], runs_dir=str(tmp_path / "runs"), return_state=True)
    ran([PASSED], runs_dir=str(tmp_path / "runs"))
    outer = state.state_details.flow_run_id
    with use_session(session_with(runs_dir=tmp_path / "runs")):
        # synthetic runs all start at one moment, so their order says nothing
        assert {run.facts.id for run in Run.of_flow_run(outer)} == {load.run_id for load in loads_of(state)}
    nested = loads_of(state)[1].flow_run_ids
    assert nested[0] == str(outer)
    assert [run.facts.id for run in Run.of_flow_run(nested[1], tmp_path / "runs")] == [loads_of(state)[1].run_id]
    with pytest.raises(RunError, match=r"no run of the flow run .* below"):
        Run.of_flow_run(outer, tmp_path / "elsewhere")


def test_links_lead_to_the_report_and_to_the_flow_runs_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADFLOW_REPORTS_URL", "https://reports.test.example/")
    state = ran([PASSED], return_state=True)
    load = load_of(state)
    assert load.report_url == f"https://reports.test.example/{load.run_id}/report.html"
    assert load.flow_run_ids == (str(state.state_details.flow_run_id),)
    with get_client(sync_client=True) as client:
        assert client.read_flow_run(state.state_details.flow_run_id).name
    assert load.flow_run_url.endswith(load.flow_run_ids[0]) or load.flow_run_url == ""
