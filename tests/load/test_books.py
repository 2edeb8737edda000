"""The books of a load: what was sent, what decides, over which time, and what became of every pass."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import psutil
import pytest

from loadflow.engine.load.start import start_test
from loadflow.engine.records.outcome import HitFlag
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.reports.junit import write_junit_report
from loadflow.engine.session.session import Observer, Session, use_session
from loadflow.errors import EngineError
from tests.load import harness
from tests.load.harness import Outcomes, get, post
from tests.load.harness import load as load_once
from tests.targets.fixture import Target


@pytest.fixture(params=("fast_http_user", "native"), autouse=True)
def made_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes the load keeps the same books."""
    monkeypatch.setattr(harness, "DEFAULT", request.param)


def load(folder: Path, steps: Any, **arguments: Any) -> Outcomes:
    return load_once(folder, steps, **({} if "rate" in arguments else {"iterations": None}) | arguments)


def test_an_attempt_whose_retry_the_end_cuts_off_has_failed(target: Target, tmp_path: Path) -> None:
    steps = [
        get("/ok", name="home"),
        post("/status/503", name="pay", retry={"transient": 5, "base_delay": 60, "max_delay": 60, "jitter": 0}),
    ]
    done = load(tmp_path, steps, host=target.url, user_count=3, test_time=0.5, thresholds=["failure_rate < 1%", "failures < 1"])
    assert [hit.flags & HitFlag.SUPERSEDED for hit in done.hits if hit.name == "pay"] == [0, 0, 0]
    assert done.summary["verdict"]["verdict"] == "failed"
    assert {one["state"] for one in done.summary["thresholds"]} == {"failed"}
    assert done.summary["totals"]["failure_rate"] == 0.5
    assert done.summary["per_name"]["pay"]["failure_rate"] == 1.0
    text = write_junit_report([done.run], tmp_path / "junit.xml").read_text()
    assert 'name="pay"' in text
    assert 'failures="3"' in text  # the verdict and both thresholds, which say how many may
    assert "limit: 1 %\nobserved: 50 %" in text


def test_a_rate_is_over_the_time_of_the_load_everywhere(target: Target, tmp_path: Path) -> None:
    thresholds = ["rate <= 5.1", {"expr": "rate >= 4.9", "window": [0, 2]}, {"expr": "rate <= 5.1", "window": [0, 9]}]
    done = load(tmp_path, [get("/ok")], host=target.url, rate=5, test_time=2, thresholds=thresholds)
    assert done.summary["totals"]["rate_per_s"] == 5.0 == done.summary["rate"]["achieved_per_s"]
    assert [one["state"] for one in done.summary["thresholds"]] == ["passed"] * 3
    assert done.summary["verdict"]["verdict"] == "passed"


def test_too_short_a_time_says_so(target: Target, tmp_path: Path) -> None:
    done = load(tmp_path, [get("/ok")], host=target.url, iterations=1, thresholds=["rate > 1"])
    assert done.summary["verdict"]["verdict"] == "inconclusive"
    assert "too short to measure a rate" in done.summary["verdict"]["reasons"][0]
    assert "short-load" in {warning["code"] for warning in done.summary["warnings"]}


THROTTLED = get("/ok", throttle={"rps": 0.1})  # one hit in ten seconds: no machine is so late that another one gets through
PASSES: list[tuple[str, Any, dict[str, Any], dict[str, int]]] = [
    ("held by a throttle until the end", [THROTTLED], {"rate": 20, "test_time": 1}, {"due": 20, "started": 1, "dropped": 19, "made": 1}),
    ("the same in two processes", [THROTTLED], {"rate": 20, "test_time": 1, "processes": 2}, {"due": 20, "cut_off": 0}),
    (
        "held before a later step",
        [get("/ok"), THROTTLED],
        {"rate": 20, "test_time": 1},
        {"due": 20, "started": 20, "dropped": 0, "made": 1},
    ),
    (
        "cut off in the delay of a retry",
        [get("/status/503", retry={"transient": 1, "base_delay": 60, "max_delay": 60})],
        {"rate": 10, "test_time": 0.5, "max_failure_rate": 1},
        {"due": 5, "started": 5, "made": 1, "cut_off": 4},
    ),
    ("in its last think time it has made all", [get("/ok", think_time=60)], {"rate": 10, "test_time": 0.5}, {"due": 5, "made": 5}),
    ("nothing to send", [get("/ok", run_if=False), get("/ok")], {"rate": 10, "test_time": 0.5}, {"due": 5, "made": 5}),
    (
        "no free user",
        [get("/delay/60000")],
        {"rate": 20, "test_time": 0.5, "max_in_flight": 2, "drain_time": 0.1, "max_failure_rate": 1},
        {"due": 10, "started": 2, "dropped": 8, "cut_off": 2},
    ),
    (
        "ended early by a threshold",
        [get("/status/500")],
        {"rate": 20, "test_time": 30, "thresholds": [{"expr": "failures < 1", "abort_on_fail": True, "abort_delay": 0}]},
        {"cut_off": 0},
    ),
    ("iterations", [get("/ok"), get("/ok")], {"iterations": 5, "user_count": 3}, {"due": 15, "made": 15}),
    (
        "iterations that the time cuts",
        [get("/ok", think_time=60)],
        {"iterations": 5, "user_count": 3, "test_time": 0.5},
        {"due": 15, "made": 3},
    ),
    ("users in throttles", [THROTTLED], {"user_count": 9, "test_time": 0.5}, {"dropped": 0}),
]


@pytest.mark.parametrize(("steps", "given", "expected"), [row[1:] for row in PASSES], ids=[row[0] for row in PASSES])
def test_every_pass_ends_in_exactly_one_way(
    steps: Any, given: dict[str, Any], expected: dict[str, int], target: Target, tmp_path: Path
) -> None:
    done = load(tmp_path, steps, host=target.url, **given)
    assert {key: done.summary["passes"][key] for key in expected} == expected, done.summary["passes"]


class KillsAnEngine(Observer):
    """After the first second."""

    def snapshot(self, run: Run, snapshot: Snapshot) -> None:
        if snapshot.second == 0:
            folder = str(run.folder.resolve())
            for process in psutil.Process().children(recursive=True):
                if any(one.path.startswith(folder) and "hits-" in one.path for one in process.open_files()):
                    process.kill()
                    return
            raise AssertionError("no engine records hits")


@pytest.mark.parametrize("given", [{"rate": 100}, {"user_count": 2, "wait_time": 0.01}], ids=["a rate", "users"])
def test_the_books_of_a_load_whose_engine_was_killed_are_those_of_its_rows(given: dict[str, Any], target: Target, tmp_path: Path) -> None:
    target.reset()
    with use_session(Session(runs_dir=tmp_path / "runs", observers=[KillsAnEngine()])) as session, pytest.raises(EngineError):
        start_test(harness.detail(harness.DEFAULT), tasks=[get("/ok"), get("/ok?2")], host=target.url, test_time=60, **given)
    run = session.runs[-1]
    passes, rows = run.totals().passes, run.hits()
    first = int(np.count_nonzero(rows["flags"] & HitFlag.FIRST))
    assert passes.balanced, passes
    assert passes.started == first > 0
    assert {name for name, one in zip(run_names(run), rows["flags"], strict=True) if one & HitFlag.FIRST} == {"/ok"}
    assert len(rows) <= sum(target.counts().values())


def run_names(run: Run) -> list[str]:
    names = run.names()
    return [names.series[number].name for number in run.hits()["series"].tolist()]


def test_achieved_means_sent(target: Target, tmp_path: Path) -> None:
    done = load(tmp_path, [THROTTLED], host=target.url, rate=20, test_time=1)
    rate = done.summary["rate"]
    assert (rate["asked_per_s"], rate["achieved_per_s"], rate["achieved"]) == (20.0, 1.0, 0.05)
    assert done.summary["verdict"]["verdict"] == "inconclusive"
    assert "1 of 20 due passes sent" in done.summary["verdict"]["reasons"][0]


def test_users_that_were_never_reached_are_told_and_the_peak_is_exact(target: Target, tmp_path: Path) -> None:
    done = load(tmp_path, [get("/ok", think_time=0.05)], host=target.url, user_count=100, spawn_rate=2, test_time=1.2)
    assert 2 <= done.summary["totals"]["users_peak"] <= 4
    assert "users-not-reached" in {warning["code"] for warning in done.summary["warnings"]}
    assert done.summary["verdict"]["verdict"] == "inconclusive"
    stages = [{"duration": 0.2, "users": 0, "spawn_rate": 100}, {"duration": 0.4, "users": 7, "spawn_rate": 1000}]
    shape = {"load_shape": "stages", "shape_config": {"stages": [*stages, {"duration": 0.6, "users": 0, "spawn_rate": 1000}]}}
    brief = load(tmp_path, [get("/ok", think_time=0.05)], host=target.url, test_time=1.2, **shape)
    assert brief.summary["totals"]["users_peak"] == 7


def test_a_step_that_never_ran_is_told_with_the_reason(target: Target, tmp_path: Path) -> None:
    steps = [get("/ok", name="a"), get("/ok", name="b", run_if=False), get("/ok", name="c", skip_if=True)]
    done = load(tmp_path, steps, host=target.url, iterations=2)
    said = [warning["message"] for warning in done.summary["warnings"] if warning["code"] == "step-never-ran"]
    assert said == ["Step 'b' never ran: run_if was false all 2 times.", "Step 'c' never ran: skip_if was true all 2 times."]


def any_load(seed: int) -> tuple[Any, dict[str, Any]]:
    """Steps and arguments of a small load, of whatever can hold a pass up or end it."""
    random = Random(seed)
    retry = {"transient": random.randint(0, 3), "base_delay": random.choice([0, 0.05, 60]), "max_delay": 60}
    kinds = [
        {"request_url": "/ok"},
        {"request_url": "/delay/200"},
        {"request_url": "/status/503", "retry": retry},
        {"request_url": "/ok", "throttle": {"rps": random.choice([3, 50])}},
        {"request_url": "/ok", "think_time": random.choice([0.1, 60])},
        {"request_url": "/ok", "run_if": False},
    ]
    steps = [{"method": "get", "name": f"step {number}", **random.choice(kinds)} for number in range(random.randint(1, 3))]
    tasks = {"mode": random.choice(["sequence", "weighted"]), "tasks": steps}
    how = random.choice(
        [{"rate": random.choice([7, 40]), "max_in_flight": random.choice([4, 50])}, {"user_count": 6}, {"user_count": 4, "iterations": 2}]
    )
    if "rate" in how and random.random() < 0.5:
        how["rate"] = {"mode": "constant", "rps": how["rate"], "spacing": "poisson"}
    times = {"test_time": random.choice([0.3, 0.6]), "drain_time": random.choice([0.1, 5]), "max_failure_rate": 1, "seed": seed}
    return tasks, {**how, **times, "processes": random.choice([1, 2])}


@pytest.mark.parametrize("seed", range(4))
def test_the_books_of_any_load_balance(seed: int, target: Target, tmp_path: Path) -> None:
    """What must hold is asked by `load` itself."""
    tasks, given = any_load(seed)
    load(tmp_path, tasks, host=target.url, **given)
