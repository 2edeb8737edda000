"""One verdict, one state."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType

from loadflow.engine.base.verdict import VerdictKind
from loadflow.engine.script.command import Command, Policy
from loadflow.errors import Interrupted
from loadflow.flows import NotPassed, compile_script, load_of, loads_of, results_of, same_verdict
from tests.flows.commands import load, session_with

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_server")]


@pytest.mark.parametrize(
    ("kind", "state_type", "state_name", "said"),
    [
        (VerdictKind.PASSED, StateType.COMPLETED, "Completed", "passed: 300 requests in"),
        (VerdictKind.FAILED, StateType.FAILED, "Failed", "hits failed"),
        (VerdictKind.INCONCLUSIVE, StateType.FAILED, "Inconclusive", "generator-limited"),
        (VerdictKind.INTERRUPTED, StateType.CANCELLED, "Interrupted", "stopped after 12.0 s of 30 s"),
        (VerdictKind.ERROR, StateType.FAILED, "Error", "killed by SIGKILL"),
    ],
)
def test_the_verdict_is_the_state_of_the_flow_run(kind: VerdictKind, state_type: StateType, state_name: str, said: str) -> None:
    state: Any = compile_script([["load", {"kind": str(kind)}]], session=session_with())(return_state=True)
    with get_client(sync_client=True) as client:
        stored = client.read_flow_run(state.state_details.flow_run_id).state
    assert stored is not None
    assert (stored.type, stored.name, said in (stored.message or "")) == (state_type, state_name, True), stored.message
    assert results_of(state).verdict.kind is kind


def test_a_flow_that_did_not_pass_raises_with_its_results() -> None:
    with pytest.raises(NotPassed, match="hits failed") as caught:
        compile_script([["load", {"kind": "failed"}]], session=session_with())()
    assert caught.value.results.verdict.kind is VerdictKind.FAILED


def test_load_that_was_stopped_cancels_its_task_and_the_flow_and_no_action_follows() -> None:
    def stopped() -> None:
        raise Interrupted("the load was stopped: Ctrl-C")

    followed: list[str] = []
    session = session_with(Command("stopped", stopped, "", Policy()), Command("after", lambda: followed.append("x"), "", Policy()))
    flow = compile_script([["stopped", None, {"on_error": "continue"}], ["after"]], session=session)
    state: Any = flow(return_state=True)
    assert (state.type, state.name) == (StateType.CANCELLED, "Interrupted")
    assert followed == []
    with pytest.raises(Interrupted, match="Ctrl-C"):
        results_of(state)


def stopped_load() -> None:
    """As LD_start_test is stopped: the run is there, and its end raises."""
    load("interrupted")
    raise Interrupted("the load was stopped: Ctrl-C")


@pytest.mark.parametrize("nested", [False, True])
def test_what_was_sent_before_an_interrupt_is_given(nested: bool) -> None:
    session = session_with(Command("stopped", stopped_load, "", Policy(), loads=True))
    script: list[Any] = [["load"], ["stopped"], ["load"]]
    flow = compile_script([["LD_execute_action", [script]]] if nested else script, session=session)
    with pytest.raises(Interrupted, match="Ctrl-C") as caught:
        flow()
    results = caught.value.results
    assert results is not None
    assert results.verdict.kind is VerdictKind.INTERRUPTED
    assert [load.verdict for load in results.loads] == [VerdictKind.PASSED, VerdictKind.INTERRUPTED]
    assert results.loads[1].overall.count == 300
    assert results.loads[1].report_url
    assert pickle.loads(pickle.dumps(caught.value)).results.loads == results.loads


def test_the_load_of_an_interrupted_flow_is_a_result_and_its_state_can_be_returned() -> None:
    session = session_with(Command("stopped", stopped_load, "", Policy(), loads=True))
    state: Any = compile_script([["stopped"]], session=session)(return_state=True)
    assert load_of(state).verdict is VerdictKind.INTERRUPTED
    assert loads_of(state) == [load_of(state)]
    assert (same_verdict(load_of(state)).type, same_verdict(load_of(state)).name) == (StateType.CANCELLED, "Interrupted")


def test_a_flow_that_was_interrupted_before_it_sent_anything_has_no_load() -> None:
    def stopped() -> None:
        raise Interrupted("nothing was sent")

    state: Any = compile_script([["stopped"]], session=session_with(Command("stopped", stopped, "", Policy())))(return_state=True)
    for ask in (load_of, loads_of):
        with pytest.raises(Interrupted, match="nothing was sent") as caught:
            ask(state)
        assert caught.value.results is not None
        assert caught.value.results.verdict.kind is VerdictKind.INTERRUPTED


def test_a_secret_that_an_error_repeats_is_in_no_state_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    def login(password: str) -> None:
        raise RuntimeError(f"{password} was refused")

    session = session_with(Command("login", login, "", Policy()), variables={"token": "tok-77-secret"})
    script = [["login", {"password": "hunter22"}, {"on_error": "continue"}], ["print", ["tok-77-secret"]]]
    with caplog.at_level("INFO"):
        state: Any = compile_script(script, session=session)(return_state=True)
    assert "*** was refused" in state.message
    told = " ".join(record.getMessage() + str(record.exc_text or "") for record in caplog.records)
    assert "hunter22" not in told
    assert "tok-77-secret" not in told


def test_headers_of_exporters_are_in_no_log_whatever_their_name(caplog: pytest.LogCaptureFixture) -> None:
    arguments = {"endpoint": "http://127.0.0.1:1", "headers": {"x-team": "tok-88-secret"}, "timeout": 0.1, "flush_s": 0}
    with caplog.at_level("DEBUG"):
        compile_script([["LD_start_opentelemetry_exporter", arguments]], session=session_with())()
    told = " ".join(record.getMessage() for record in caplog.records)
    assert '"x-team": "***"' in told
    assert "tok-88-secret" not in told
