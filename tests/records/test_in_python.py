"""What is said of the time that a scenario's functions took: in the summary, in a warning, in the report, and in a verdict it explains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.base.verdict import VerdictKind
from loadflow.engine.records.generator import generator_limited
from loadflow.engine.records.health import Health
from loadflow.engine.records.in_python import InPython
from loadflow.engine.records.run import Run
from loadflow.engine.records.totals import Totals
from loadflow.engine.reports.html import write_html_report
from tests.builders import build_run, facts, make_rows

STEPS = [{"name": "browse", "call": "/loads/shop.py:Shop.browse"}, {"name": "buy", "call": "/loads/shop.py:Shop.buy"}]
USED = {"users": 5, "cpu": 0.5, "lag_ms": 1.0}


def run_of(folder: Path, **health: Any) -> Run:
    own = facts(plan={"steps": STEPS, "user_count": 50, "spawn_rate": 50, "test_time": 30})
    return build_run(folder, make_rows(3_000, failure_rate=0.0), run_facts=own, health=Health(**{**USED, "users": 50, **health}))


def test_the_summary_has_share_slowest_function_and_slow_calls(tmp_path: Path) -> None:
    summary = run_of(tmp_path, python=0.25, slowest_ms=31.5, slowest_step=1, slow=2).summary()
    assert summary.to_json()["generator"]["python"] == {
        "share": 0.25,
        "share_peak": 0.25,
        "slowest": "Shop.buy",
        "slowest_ms": 31.5,
        "slow": 60,  # in each of 30 seconds
    }
    (warning,) = (one for one in summary.warnings if one.code == "slow-function")
    assert warning.message == (
        "Functions of the scenario kept the event loop for more than 10 ms, 60 times; the longest was Shop.buy with 31.5 ms. "
        "All other users waited meanwhile."
    )
    assert warning.advice.endswith('belong into tasks with @task(engine="locust").')
    assert summary.verdict.kind is VerdictKind.PASSED  # a slow call alone does not make the numbers the generator's


def test_the_share_is_of_all_seconds_and_the_peak_of_one() -> None:
    health = [Health(python=0.1, slowest_ms=3.0), Health(python=0.5, slowest_ms=12.0, slowest_step=1, slow=1), Health()]
    found = InPython.of(health, [facts(plan={"steps": STEPS})])
    assert found == InPython(0.2, 0.5, "Shop.buy", 12.0, 1)
    assert InPython.of([Health(cpu=1.0)], [facts(plan={"steps": STEPS})]) is None


def test_the_report_says_it_and_says_nothing_of_other_loads(tmp_path: Path) -> None:
    page = write_html_report([run_of(tmp_path / "run", python=0.25, slowest_ms=31.5, slow=2)], tmp_path / "a.html").read_text()
    assert (
        "<dt>Event loop in the scenario's functions</dt><dd>25 % of its time; the longest 31.5 ms (Shop.browse); 60 calls over 10 ms"
        in page
    )
    assert "Functions of the scenario kept the event loop for more than 10 ms" in page.replace("&#39;", "'")
    assert "scenario's functions" not in write_html_report([run_of(tmp_path / "other")], tmp_path / "b.html").read_text()


BLOCKED = 'or mark such tasks with @task(engine="locust"); `loadflow check FILE.py` says which functions run in Python'
# the generator's seconds; what its verdict says as the cause, and as the way out
LIMITED: list[tuple[str, dict[str, Any], str, str]] = [
    (
        "functions that block",
        {"lag_ms": 150.0, "python": 0.31, "slow": 2, "slowest_ms": 148.0},
        "; functions of the scenario kept its event loop for 31% of the time, 20 times for more than 10 ms (at most 148 ms); ",
        BLOCKED,
    ),
    (
        "functions that are many and short",
        {"lag_ms": 150.0, "cpu": 1.0, "python": 0.8},
        "a core in 100% of the seconds; functions of the scenario kept its event loop for 80% of the time; ",
        "use more `processes`, fewer users or a wait_time",
    ),
    ("functions that took little", {"lag_ms": 150.0, "python": 0.2}, "of the seconds; use a machine where nothing else runs", ""),
]


@pytest.mark.parametrize(("health", "cause", "way_out"), [row[1:] for row in LIMITED], ids=[row[0] for row in LIMITED])
def test_functions_are_named_as_a_cause_of_a_limited_generator(health: dict[str, Any], cause: str, way_out: str) -> None:
    found = generator_limited([Health(**{**USED, **health})] * 10, Totals(), None)
    assert found.startswith("generator-limited: its event loop was more than 100 ms late in 100% of the seconds")
    assert cause in found
    assert found.endswith(way_out)


def test_the_verdict_is_inconclusive_where_functions_held_up_the_loop(tmp_path: Path) -> None:
    verdict = run_of(tmp_path, lag_ms=150.0, python=0.31, slow=2, slowest_ms=148.0).summary().verdict
    assert verdict.kind is VerdictKind.INCONCLUSIVE
    assert "generator-limited" in verdict.reasons[0]
    assert "functions of the scenario kept its event loop for 31% of the time" in verdict.reasons[0]
    assert BLOCKED in verdict.reasons[0]
