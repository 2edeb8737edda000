"""`stop_when` in real loads: they end as if their time had been over, and what it can't go with is refused before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.records import stop_watch
from loadflow.engine.records.judge import EndReason
from loadflow.engine.records.run import Run
from loadflow.errors import CommandError
from tests.load.harness import get, load
from tests.targets.fixture import Target


@pytest.mark.parametrize("user", ["native", "fast_http_user"])
@pytest.mark.parametrize("closed", [True, False], ids=["users", "a rate"])
def test_a_load_that_knows_enough_ends_as_planned(user: str, closed: bool, target: Target, tmp_path: Path, monkeypatch: Any) -> None:
    """Hits in flight have all of the drain: longer than those of a load that was stopped."""

    def known(rule: Any, units: Any, unit_s: int, look: int) -> Any:
        return [stop_watch.Reached(width, 10.0, 0.1, "") for width in rule.widths], 0

    monkeypatch.setattr(stop_watch, "reached_of", known)
    monkeypatch.setattr(stop_watch, "LOOK_EVERY_S", 1)
    monkeypatch.setattr(stop_watch, "LEAST_S", 1)
    pace: dict[str, Any] = {"user_count": 2, "iterations": None, "test_time": None} if closed else {"rate": 5}
    stop = {"p95": "±5%", "at_most": "10m"}
    steps = [get(f"{target.url}/delay/2500")]
    done = load(tmp_path, steps, user=user, **pace, stop_when=stop, drain_time=30)
    end = Run.open(done.run.folder).end()
    assert end.reason is EndReason.PRECISE
    assert end.ran_s < 60
    assert done.summary["verdict"]["verdict"] == "passed"
    assert done.summary["totals"]["failures"] == 0
    assert done.summary["passes"]["dropped"] <= 1
    (run,) = done.summary["runs"]
    assert run["planned_s"] == 600


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("no metric", {"stop_when": {"at_most": 60}}, "stop_when: names no metric"),
    ("no width", {"stop_when": {"p95": "5"}}, "stop_when.p95: '5' is no width"),
    ("two lengths", {"stop_when": {"p95": "5%", "at_most": 60}, "test_time": 60}, "test_time: says the same as stop_when.at_most"),
    ("iterations", {"stop_when": {"p95": "5%"}, "iterations": 5}, "iterations: can't be combined with stop_when"),
    ("a rate that changes", {"stop_when": {"p95": "5%"}, "rate": {"mode": "ramp", "rps": 5}}, "this rate changes by its plan"),
    ("a worker", {"stop_when": {"p95": "5%"}, "runner_mode": "worker"}, "the master's script says when the load ends"),
]


@pytest.mark.parametrize(("sentence", "arguments", "said"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_it_can_not_go_with_is_refused(sentence: str, arguments: dict[str, Any], said: str, tmp_path: Path) -> None:
    given = {"iterations": None, "test_time": None, **arguments}
    with pytest.raises(CommandError) as raised:
        load(tmp_path, [get("http://127.0.0.1:9/ok")], **{key: value for key, value in given.items() if value is not None})
    assert said in str(raised.value)
