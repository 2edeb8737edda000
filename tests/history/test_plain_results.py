"""Results in LoadPilot's form, and what counts as worse than a baseline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.history.plain_results import changes_of, read_results, results_of, write_results
from loadflow.errors import ScriptError
from tests.records.test_knee import FAST, rows_of, run_of

SAME: dict[str, Any] = {"rps_actual": 100.0, "p50_ms": 10.0, "p95_ms": 20.0, "p99_ms": 30.0, "max_ms": 50.0, "error_rate_pct": 0.0}
# what is changed; what is then worse
CASES: list[tuple[str, dict[str, Any], dict[str, Any], list[str]]] = [
    ("nothing changed", {}, {}, []),
    ("a time that rose by a tenth", {}, {"p95_ms": 22.0}, ["p95 ms"]),
    ("by less", {}, {"p95_ms": 21.9}, []),
    ("by a tenth, and less than a millisecond", {"p50_ms": 1.0}, {"p50_ms": 1.9}, []),
    ("a time that fell", {}, {"p99_ms": 3.0}, []),
    ("a rate that fell", {}, {"rps_actual": 89.0}, ["RPS actual"]),
    ("a rate that rose", {}, {"rps_actual": 200.0}, []),
    ("failures where there were none", {}, {"error_rate_pct": 60.0}, ["error rate %"]),
    ("a time where there was none", {"p50_ms": 0}, {"p50_ms": 40.0}, ["p50 ms"]),
    ("several", {}, {"p50_ms": 20.0, "max_ms": 100.0}, ["p50 ms", "max ms"]),
]


@pytest.mark.parametrize(("before", "now", "worse"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_what_is_worse(before: dict[str, Any], now: dict[str, Any], worse: list[str]) -> None:
    changes = list(changes_of({**SAME, **before}, {**SAME, **now}))
    assert [one.title for one in changes] == ["RPS actual", "p50 ms", "p95 ms", "p99 ms", "max ms", "error rate %"]
    assert [one.title for one in changes if one.is_worse] == worse


def test_a_figure_that_a_file_lacks_is_left_out() -> None:
    assert [one.title for one in changes_of({"p50_ms": 1}, SAME)] == ["p50 ms"]


def test_the_fields_of_a_run(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", rows_of([[20.0], [40.0], [80.0], [200.0], [500.0]], [0, 0, 3, 0, 0]), "p99 <= 100 ms")
    results = results_of(run, "http://shop.example")
    write_results(results, tmp_path / "new" / "results.json")
    assert read_results(tmp_path / "new" / "results.json") == json.loads(json.dumps(results))
    assert (results["scenario"], results["target_url"], results["rps_target"]) == ("smoke", "http://shop.example", 100)
    assert (results["requests_total"], results["errors_total"], results["error_rate_pct"]) == (3000, 3, 0.1)
    point = results["knee_point"]
    assert {key: point[key] for key in ("step", "total_steps", "rps", "rps_actual", "max_rps", "error_rate_pct")} == {
        "step": 3,
        "total_steps": 5,
        "rps": 60,
        "rps_actual": 60.0,
        "max_rps": 100,
        "error_rate_pct": 0.5,
    }
    assert point["p99_ms"] == pytest.approx(80, rel=0.002)
    assert "knee_point" not in results_of(run_of(tmp_path / "other", rows_of(FAST)), "")


WRONG = [
    ("{", "is no JSON"),
    ("[]", "is no object with results"),
    ("{}", "has none of the 6 figures that are compared: rps_actual, p50_ms"),
    ('{"p50_ms": "5"}', "is no number of 0 or more: '5'"),
    ('{"p50_ms": NaN}', "is no number of 0 or more: nan"),
    ('{"p50_ms": -1}', "is no number of 0 or more: -1"),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_what_is_wrong_with_a_baseline_is_said(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "baseline.json"
    file.write_text(text)
    with pytest.raises(ScriptError) as raised:
        read_results(file)
    assert said in raised.value.mistakes[0].message
    with pytest.raises(ScriptError, match="No such file"):
        read_results(tmp_path / "nothing.json")
