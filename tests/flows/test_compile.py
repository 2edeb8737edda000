"""A script as a flow: order, names, policies, nesting, and what a call of the flow gives."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect import flow_engine
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType
from prefect.states import Cancelled

from loadflow.engine.script.command import Command, Policy
from loadflow.engine.script.document import parse_script
from loadflow.engine.session.execute import load_script
from loadflow.engine.session.own_commands import add_command_to_executor
from loadflow.engine.session.session import Session, current_session, use_session
from loadflow.errors import EngineError, Interrupted, ScriptError
from loadflow.flows import NotPassed, compile_script, results_of
from loadflow.flows.compile import run_compiled
from loadflow.flows.run_script import run_script
from tests.flows.commands import session_with

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]


def test_each_action_is_one_task_run_in_order_named_after_position_and_command(task_runs: Callable[..., Any]) -> None:
    flow = compile_script([["len", ["four"]], ["max", [1, 2]], ["LD_clear_records"]], name="count")
    state = flow(return_state=True)
    runs = task_runs(state.state_details.flow_run_id, 3)
    assert flow.name == "count"
    assert [run.name for run in runs] == ["01 len", "02 max", "03 LD_clear_records"]


def test_a_passed_flow_returns_its_results() -> None:
    results = compile_script([["len", ["four"]]])()
    assert (dict(results), results.ok) == ({"execute: ['len', ['four']]": 4}, True)


@pytest.mark.parametrize(
    "script",
    [
        [["len", ["four"]]],
        {"load_density": [["len", ["four"]]]},
        '[["len", ["four"]]]',
        parse_script([["len", ["four"]]], commands=Session().commands),
    ],
    ids=["list", "mapping", "JSON text", "Script"],
)
def test_a_script_may_be_given_in_any_form(script: Any) -> None:
    assert [result.value for result in compile_script(script)().results] == [4]


@pytest.mark.parametrize("form", [str, Path])
def test_a_flow_of_a_file_is_named_after_the_file(tmp_path: Path, form: type) -> None:
    path = tmp_path / "night run & more.json"
    path.write_text('[["len", ["four"]]]')
    assert compile_script(form(path)).name == "night run - more"


def test_a_script_with_mistakes_is_refused_when_it_is_compiled() -> None:
    with pytest.raises(ScriptError) as caught:
        compile_script([["lenn", ["four"]], ["max"], ["evil", []]])
    assert len(caught.value.mistakes) >= 2


def test_braces_in_a_label_stand_in_the_run_name_as_they_are(task_runs: Callable[..., Any]) -> None:
    state = compile_script([["load", {"label": "a {b} ${x}"}]], session=session_with())(return_state=True)
    assert [run.name for run in task_runs(state.state_details.flow_run_id, 1)] == ["01 load: a {b} ${x}"]


@pytest.mark.parametrize(("kind", "name"), [("passed", "Completed"), ("failed", "Failed"), ("inconclusive", "Inconclusive")])
def test_the_task_of_a_load_says_its_verdict_and_later_actions_run(task_runs: Callable[..., Any], kind: str, name: str) -> None:
    """Red at once on the flow run's page; a task that is retried would be twice the load."""
    document = [["load", {"kind": kind, "label": "checkout"}, {"retries": 3}], ["len", ["four"]]]
    state = compile_script(document, session=session_with())(return_state=True)
    load, after = task_runs(state.state_details.flow_run_id, 2)
    assert (load.name, load.state.name, load.run_count) == ("01 load: checkout", name, 1)
    assert load.state.message.startswith(kind)
    assert ("× status 503 on" in load.state.message) is (kind == "failed")
    assert (after.name, after.state.name) == ("02 len", "Completed")
    results = results_of(state)
    assert results.ok
    assert results.results[0].value["verdict"]["verdict"] == kind
    assert state.message.startswith(kind)


def test_a_load_without_a_label_is_named_after_its_script(task_runs: Callable[..., Any]) -> None:
    state = compile_script([["load", {"label": ""}]], session=session_with(name="nightly"))(return_state=True)
    assert [run.name for run in task_runs(state.state_details.flow_run_id, 1)] == ["01 load: nightly"]


def test_only_what_loads_has_tags(task_runs: Callable[..., Any]) -> None:
    state = compile_script([["load"], ["len", ["x"]]], session=session_with())(return_state=True)
    assert [set(run.tags) for run in task_runs(state.state_details.flow_run_id, 2)] == [{"load", "loadflow"}, set()]


def test_own_commands_of_the_current_session_are_tasks_of_the_flow(task_runs: Callable[..., Any]) -> None:
    with use_session(Session()):
        add_command_to_executor({"LD_greet": lambda name: f"hello {name}"})
        flow = compile_script([["LD_greet", {"name": "Ann"}]])
    state = flow(return_state=True)
    assert results_of(state).results[0].value == "hello Ann"
    assert [run.name for run in task_runs(state.state_details.flow_run_id, 1)] == ["01 LD_greet"]


class Flaky:
    """Raises `errors` in turn, then returns."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


SAFE, UNSAFE = Policy(retries=3), Policy(retries=3, retry_safe=False)


@pytest.mark.parametrize(
    ("policy", "error", "calls"),
    [
        pytest.param(SAFE, ConnectionError("away"), 2, id="what is safe to repeat is repeated"),
        pytest.param(SAFE, Interrupted("stop"), 1, id="what was interrupted is not"),
        pytest.param(UNSAFE, ConnectionError("away"), 1, id="what is not safe is not repeated"),
        pytest.param(UNSAFE, EngineError("died", hits=1), 1, id="nor is load that was sent"),
        pytest.param(UNSAFE, EngineError("died", hits=0), 2, id="but load of which nothing was sent"),
    ],
)
def test_a_task_is_retried_only_when_that_does_no_harm(policy: Policy, error: Exception, calls: int) -> None:
    flaky = Flaky(error)
    session = session_with(Command("flaky", flaky, "Fails at first.", policy))
    compile_script([["flaky"]], session=session)(return_state=True)
    assert flaky.calls == calls


def test_an_action_may_ask_for_another_policy_than_its_command_has() -> None:
    flaky = Flaky(ConnectionError("1"), ConnectionError("2"))
    session = session_with(Command("flaky", flaky, "Fails at first.", Policy()))
    compile_script([["flaky", None, {"retries": 2}]], session=session)()
    assert flaky.calls == 3


@pytest.mark.parametrize("in_thread", [False, True], ids=["main thread", "other thread"])
def test_a_timeout_ends_the_work_and_fails_the_flow(in_thread: bool) -> None:
    ended = []

    def slow() -> None:
        try:
            for _ in range(500):
                time.sleep(0.01)
            ended.append("by itself")
        finally:
            ended.append("over")

    session = session_with(Command("slow", slow, "Takes 5 s.", Policy(timeout_seconds=0.3)))
    flow = compile_script([["slow"], ["len", ["x"]]], session=session)
    states: list[Any] = []
    if in_thread:
        thread = threading.Thread(target=lambda: states.append(flow(return_state=True)))
        thread.start()
        thread.join()
    else:
        states.append(flow(return_state=True))
    assert ended == ["over"]
    assert (states[0].name, "slow" in states[0].message) == ("Error", True)


def test_a_failing_action_stops_the_script_and_fails_the_flow() -> None:
    flow = compile_script([["int", ["x"]], ["len", ["four"]]])
    with pytest.raises(NotPassed, match="int failed: ValueError") as caught:
        flow()
    assert len(caught.value.results.results) == 1
    assert isinstance(caught.value.__cause__, ValueError)


def test_with_continue_the_flow_goes_on_and_fails_at_the_end() -> None:
    state = compile_script([["int", ["x"], {"on_error": "continue"}], ["len", ["four"]]])(return_state=True)
    assert [result.ok for result in results_of(state).results] == [False, True]
    assert (state.type, state.name) == (StateType.FAILED, "Error")


def test_nested_scripts_are_subflows_with_their_own_task_runs(tmp_path: Path, task_runs: Callable[..., Any]) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.json").write_text(json.dumps([["len", [name]]]))
    script = [
        ["len", ["x"]],
        ["LD_execute_action", [[["max", [1, 2]], ["min", [1, 2]]]]],
        ["LD_execute_files", {"execute_files_list": [str(tmp_path / "one.json"), str(tmp_path / "two.json")]}],
    ]
    state = compile_script(script, name="outer")(return_state=True)
    results = results_of(state).results
    assert [result.value for result in results[1].value.results] == [2, 1]
    assert [inner.results[0].value for inner in results[2].value] == [3, 3]
    runs = task_runs(state.state_details.flow_run_id, 4)
    assert len(runs) == 4
    with get_client(sync_client=True) as client:
        children = [client.read_flow_run(run.state.state_details.child_flow_run_id) for run in runs[1:]]
        names = [(child.name, client.read_flow(child.flow_id).name) for child in children]
    assert names == [("02 LD_execute_action", "outer 02"), ("03 one", "one"), ("03 two", "two")]
    assert [run.name for run in task_runs(children[0].id, 2)] == ["01 max", "02 min"]


@pytest.mark.parametrize(
    "nested", [["LD_execute_action", [[["int", ["x"]]]]], ["LD_execute_files", [["bad.json"]]]], ids=["actions", "files"]
)
def test_a_failure_in_a_nested_script_fails_the_whole(nested: list[Any]) -> None:
    Path("bad.json").write_text('[["int", ["x"]]]')
    state = compile_script([nested])(return_state=True)
    assert (state.name, "int failed" in (state.message or "")) == ("Error", True)


def test_two_flows_at_once_in_one_process_do_not_see_each_other() -> None:
    both_in = threading.Barrier(2, timeout=60)
    seen: dict[str, tuple[str, list[str]]] = {}

    def look(name: str) -> None:
        both_in.wait()
        session = current_session()
        session.variables.register("mine", name)
        both_in.wait()
        seen[name] = (session.variables.values["mine"], [run.facts.label for run in session.runs])

    def run(name: str) -> None:
        session = session_with(Command("look", look, "Looks around."), name=name)
        compile_script([["load", {"label": name}], ["look", {"name": name}]], session=session)(return_state=True)

    threads = [threading.Thread(target=run, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"a": ("a", ["a"]), "b": ("b", ["b"])}


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prefect's API answers the final state of each flow so late that its client asks again, and reads back a state without data."""
    propose = flow_engine.propose_state_sync

    def late(client: Any, state: State[Any], **options: Any) -> State[Any]:
        proposed = propose(client, state, **options)
        return proposed.model_copy(update={"data": None}) if proposed.is_final() else proposed

    monkeypatch.setattr(flow_engine, "propose_state_sync", late)


@pytest.mark.usefixtures("forgetful")
def test_what_a_flow_gives_does_not_hang_on_the_state_that_the_api_gives_back(tmp_path: Path) -> None:
    script = [["len", ["four"]]]
    assert list(compile_script(script)().values()) == [4]
    assert list(results_of(compile_script(script)(return_state=True)).values()) == [4]
    assert list(run_script(script=script, runs_dir=str(tmp_path)).values()) == [4]
    assert list(run_compiled(load_script(script, name="from the command line"), Session()).values()) == [4]
    (nested,) = compile_script([["LD_execute_action", [[["len", ["four"]], ["len", ["five!"]]]]]])().values()
    assert list(nested.values()) == [4, 5]
    with pytest.raises(NotPassed) as caught:
        compile_script([["max", [[]]]])()
    assert isinstance(caught.value.results.first_error, ValueError)
    state = run_script(script=[["lenn", ["four"]]], return_state=True)
    assert (state.name, type(state.data)) == ("Error", ScriptError)


@pytest.mark.usefixtures("forgetful")
def test_a_state_that_the_api_decided_otherwise_gets_no_results(monkeypatch: pytest.MonkeyPatch) -> None:
    late = flow_engine.propose_state_sync
    cancelled = Cancelled(message="by a person")
    monkeypatch.setattr(
        flow_engine, "propose_state_sync", lambda client, state, **how: cancelled if state.is_completed() else late(client, state, **how)
    )
    assert compile_script([["len", ["four"]]])(return_state=True).data is None
