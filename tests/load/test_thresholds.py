"""Thresholds of a load, and the SLA commands after it: what is refused before anything is sent, and what the verdict is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.base.verdict import VerdictKind
from loadflow.engine.load_test.threshold import SlaRule, thresholds_of
from loadflow.engine.records.run import Run
from loadflow.engine.session.execute import execute_action
from loadflow.engine.session.session import Session, use_session
from loadflow.errors import CommandError, ScriptError
from tests.load.harness import get, load
from tests.targets.fixture import Target


def test_thresholds_are_in_the_summary_and_decide_the_verdict(target: Target, tmp_path: Path) -> None:
    wanted = ["p95 < 60 s", {"expr": "count >= 20", "name": "GET ok"}, {"expr": "max < 0.000001 ms", "name": "ok"}]
    done = load(tmp_path, [get(f"{target.url}/ok", name="ok")], iterations=20, thresholds=wanted)
    assert [(one["expression"], one["scope"], one["state"]) for one in done.summary["thresholds"]] == [
        ("p95 < 60 s", "", "passed"),
        ("count >= 20", "of GET ok", "passed"),
        ("max < 0.000001 ms", "of ok", "failed"),
    ]
    assert done.summary["verdict"]["verdict"] == "failed"
    assert "max < 0.000001 ms of ok: observed" in done.summary["verdict"]["reasons"][0]
    again = Run.open(done.run.folder).summary().to_json()
    assert again["thresholds"] == done.summary["thresholds"]
    page = (done.run.folder / "report.html").read_text(encoding="utf-8")
    assert "Thresholds" in page
    assert "max &lt; 0.000001 ms" in page


def test_a_script_that_limits_failures_itself_may_have_some(target: Target, tmp_path: Path) -> None:
    steps = [get(f"{target.url}/status/500"), get(f"{target.url}/ok")]
    assert load(tmp_path / "a", steps, thresholds=["failure_rate <= 50%"]).summary["verdict"]["verdict"] == "passed"
    assert load(tmp_path / "b", steps, thresholds=["failure_rate < 50%"]).summary["verdict"]["verdict"] == "failed"
    assert load(tmp_path / "c", steps, thresholds=["p95 < 60 s"]).summary["verdict"]["verdict"] == "failed"  # none may fail
    both = load(tmp_path / "d", steps, thresholds=["failure_rate <= 50%"], max_failure_rate=0.1)
    assert both.summary["verdict"]["verdict"] == "failed"


def test_a_window_counts_the_hits_that_ended_in_it(target: Target, tmp_path: Path) -> None:
    done = load(tmp_path, [get(f"{target.url}/ok")], iterations=30, thresholds=[{"expr": "count > 0", "window": [0, 50]}])
    (result,) = done.summary["thresholds"]
    assert (result["samples"], result["state"], result["scope"]) == (30, "passed", "from 0 s to 50 s")


def test_a_threshold_that_fails_ends_the_load(target: Target, tmp_path: Path) -> None:
    """The load would go on for 10 minutes."""
    wanted = [{"expr": "max < 0.000001 ms", "abort_on_fail": True, "abort_delay": 0}]
    done = load(tmp_path, [get(f"{target.url}/ok")], iterations=None, test_time=600, wait_time=0.01, thresholds=wanted)
    verdict = done.summary["verdict"]
    assert verdict["verdict"] == "failed"
    assert verdict["reasons"][0].startswith("ended early by a threshold: max < 0.000001 ms: observed")


BAD: list[tuple[str, Any, str]] = [
    ("a name that no step has", {"expr": "p95 < 5", "name": "/okk"}, "thresholds[0].name: no step is named '/okk'; did you mean '/ok'?"),
    ("a phase that there is not", {"expr": "p95 < 5", "phase": 2}, "thresholds[0].phase: phase 2: the load has 1"),
    ("a window after the end", {"expr": "p95 < 5", "window": [100, 200]}, "thresholds[0].window: begins after the load's end"),
    ("dropped without a rate", "dropped < 5", "thresholds[0].expr: nothing is dropped without a rate"),
]


@pytest.mark.parametrize(("sentence", "threshold", "said"), BAD, ids=[row[0] for row in BAD])
def test_what_the_load_will_not_have_is_refused_before_it(sentence: str, threshold: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError) as raised:
        load(tmp_path, [get("http://127.0.0.1:9/ok")], thresholds=[threshold])
    assert said in str(raised.value)
    assert not (tmp_path / "runs").exists()


WRITTEN: list[tuple[str, Any, str]] = [
    ("no threshold", "p95 is good", "thresholds[0]: 'p95 is good' is not a threshold"),
    ("an unknown key", {"expr": "p95 < 5", "nane": "x"}, "thresholds[0].nane: 'nane' is not a key of a threshold; did you mean 'name'?"),
    ("window and phase", {"expr": "p95 < 5", "phase": 1, "window": [1, 2]}, "thresholds[0].phase: can't be combined with window"),
    ("a window that ends first", {"expr": "p95 < 5", "window": [2, 1]}, "thresholds[0].window[1]: must be later"),
    ("an abort that would come at once", {"expr": "count > 5", "abort_on_fail": True}, "thresholds[0].abort_on_fail: can't be asked"),
]


@pytest.mark.parametrize(("sentence", "threshold", "said"), WRITTEN, ids=[row[0] for row in WRITTEN])
def test_what_is_written_wrong_is_a_mistake_of_the_script(sentence: str, threshold: Any, said: str) -> None:
    test = {"user_detail_dict": {"user": "fast_http_user"}, "tasks": [get("http://127.0.0.1:9/ok")], "thresholds": [threshold]}
    with pytest.raises(ScriptError) as raised:
        execute_action([["LD_start_test", test]])
    assert said in str(raised.value)


def test_the_sla_commands_judge_after_the_load(target: Target, tmp_path: Path) -> None:
    test: dict[str, Any] = {"user_detail_dict": {"user": "fast_http_user"}, "user_count": 1, "iterations": 10}
    test["tasks"] = [get(f"{target.url}/ok")]
    old = {"type": "latency_p95", "op": "lt", "value": 60_000}
    script = [
        ["LD_start_test", test],
        ["LD_evaluate_sla", {"rules": ["count >= 10", old, "p50 < 0 ms"]}],
        ["LD_assert_sla", {"rules": [old]}],
        ["LD_assert_sla", {"rules": ["p50 < 0 ms", "p99 < 60 s"]}, {"on_error": "continue"}],
        ["LD_assert_sla", {"rules": [{"expr": "p99 < 60 s", "min_samples": 11}]}, {"on_error": "continue"}],
    ]
    with use_session(Session(runs_dir=tmp_path)):
        results = execute_action(script)
    evaluated = results.results[1].value
    assert [(one["state"], one["samples"]) for one in evaluated["results"]] == [("passed", 10), ("passed", 10), ("failed", 10)]
    assert (evaluated["passed"], evaluated["state"]) == (False, "failed")
    assert [result.error is None for result in results.results] == [True, True, True, False, False]
    assert "p50 < 0 ms: observed" in str(results.results[3].error)
    assert "too few samples to say (10)" in str(results.results[4].error)
    assert results.verdict.kind is VerdictKind.FAILED


RULES: list[tuple[str, Any, str]] = [
    ("LoadDensity's words", {"type": "latency_p95", "op": "lt", "value": 500}, "p95 < 500"),
    ("ours", {"metric": "failure_rate", "operator": "<=", "value": 0.05}, "failure_rate <= 0.05"),
    ("one of each", {"type": "requests", "operator": "gte", "value": 1234567}, "requests >= 1234567"),
    ("a mean", {"type": "latency_mean", "op": "lte", "value": 1e-7, "name": "/a"}, "mean <= 1e-07"),
]


@pytest.mark.parametrize(("sentence", "rule", "expression"), RULES, ids=[row[0] for row in RULES])
def test_a_rule_is_an_expression_in_other_words(sentence: str, rule: Any, expression: str) -> None:
    (threshold,) = thresholds_of([SlaRule.model_validate(rule)])
    assert (threshold.expression, threshold.name) == (expression, rule.get("name"))


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"type": "latency_p95", "metric": "p95", "op": "lt", "value": 1}, "rules[0].type: says the same as 'metric'; keep one of them"),
        ({"type": "latency_p95", "value": 1}, "rules[0].op: is missing"),
        ({"type": "latency_p95", "op": "less", "value": 1}, "rules[0].op: 'less' is not an operator"),
        ({"type": "latency_max95", "op": "lt", "value": 1}, "rules[0].type: 'max95' is not a metric"),
    ],
)
def test_a_rule_that_is_written_wrong_is_a_mistake(rule: Any, said: str) -> None:
    with pytest.raises(ScriptError, match=re.escape(said)):
        execute_action([["LD_assert_sla", {"rules": [rule]}]])


def test_too_few_samples_make_the_script_inconclusive(target: Target, tmp_path: Path) -> None:
    test: dict[str, Any] = {"user_detail_dict": {"user": "fast_http_user"}, "user_count": 1, "iterations": 3}
    test["tasks"] = [get(f"{target.url}/ok")]
    with use_session(Session(runs_dir=tmp_path)):
        results = execute_action([["LD_start_test", test], ["LD_assert_sla", [[{"expr": "p99 < 60 s", "min_samples": 4}]]]])
    assert results.verdict.kind is VerdictKind.INCONCLUSIVE


@pytest.mark.parametrize("command", ["LD_assert_sla", "LD_evaluate_sla"])
def test_without_a_run_there_is_nothing_to_judge(command: str, tmp_path: Path) -> None:
    no_run = pytest.raises(ScriptError, match="there is no run to judge; LD_start_test comes first")
    with use_session(Session(runs_dir=tmp_path)), no_run:
        execute_action([[command, {"rules": ["p95 < 5"]}]])
