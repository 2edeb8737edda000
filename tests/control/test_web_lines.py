"""The lines of ndjson: phases, rates and totals, from seconds that are given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadflow.engine.control.web.lines import MOST_TASKS, RunLines, mean_rate_per_s, phase_of
from loadflow.engine.plan import profile
from loadflow.engine.plan.pace import Segment
from loadflow.engine.records.health import Health
from loadflow.engine.records.histogram import Histogram
from loadflow.engine.records.names import SeriesName
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.records.totals import SeriesTotals, Totals
from tests.builders import build_run

MS = 1_000_000

# as LoadPilot's documents have it
PHASES = [
    ("ramp, rising", profile.ramp(rps=100, duration_s=60, ramp_up_s=30), 15, "ramp_up"),
    ("ramp, risen", profile.ramp(rps=100, duration_s=60, ramp_up_s=30), 31, "steady"),
    ("ramp without a rise", profile.ramp(rps=100, duration_s=60, ramp_up_s=0), 0.5, "steady"),
    ("constant", profile.constant(rps=50, duration_s=60), 30, "steady"),
    ("the first stair", profile.step(rps=100, duration_s=50, steps=5), 1, "steady"),
    ("the last stair", profile.step(rps=100, duration_s=50, steps=5), 49, "steady"),
    ("three stairs", profile.step(rps=90, duration_s=30, steps=3), 15, "steady"),
    ("spike, first third", profile.spike(rps=100, duration_s=60), 10, "steady"),
    ("spike, middle third", profile.spike(rps=100, duration_s=60), 30, "ramp_up"),
    ("spike, last third", profile.spike(rps=100, duration_s=60), 50, "ramp_down"),
    ("a stage that falls", profile.stages([(10, 50, 0)]), 5, "ramp_down"),
    ("after the end", profile.constant(rps=50, duration_s=60), 61, "steady"),
]


@pytest.mark.parametrize(("what", "segments", "at_s", "phase"), PHASES, ids=[row[0] for row in PHASES])
def test_the_phase_is_loadpilots(what: str, segments: tuple[Segment, ...], at_s: float, phase: str) -> None:
    assert phase_of(segments, at_s) == phase


def test_the_target_of_the_seconds_adds_up_to_the_passes_of_the_pace() -> None:
    segments = profile.spike(rps=100, duration_s=10)
    assert sum(mean_rate_per_s(segments, s, s + 1) for s in range(12)) == pytest.approx(100 * (10 / 3 + 2 * 10 / 3 * 0.2), abs=1e-4)
    assert mean_rate_per_s((), 0, 1) == 0.0


def second(number: int, hits: dict[tuple[str, str], tuple[list[int], list[int]]], users: int = 0) -> Snapshot:
    """Milliseconds of what succeeded and of what failed, by method and name."""
    series = {}
    for (method, name), parts in hits.items():
        histograms = [Histogram(), Histogram()]
        for histogram, values in zip(histograms, parts, strict=True):
            histogram.add(np.array(values, dtype=np.int64) * MS)
        series[SeriesName(method, name)] = SeriesTotals(*histograms)
    return Snapshot(number, 1_000.0 + number, Totals(series), Health(users=users, in_flight=3), None)


def told(lines: RunLines, run: Run, *seconds: Snapshot) -> list[dict[str, Any]]:
    return [lines.second(run, one) for one in seconds]


END = {"ok": True, "verdict": {"verdict": "passed"}, "loads": []}


def test_totals_and_times_are_those_of_the_load_so_far_and_tasks_are_by_name(tmp_path: Path) -> None:
    run = build_run(tmp_path)
    lines = RunLines("r1")
    first, then = told(
        lines,
        run,
        second(0, {("GET", "b"): ([10, 20], [90]), ("GET", "a"): ([30], [])}),
        second(1, {("POST", "b"): ([40], [])}),
    )
    assert (first["requests_total"], first["errors_total"], first["current_rps"], first["active_workers"]) == (4, 1, 4.0, 3)
    assert (then["requests_total"], then["errors_total"], then["current_rps"], then["elapsed_secs"]) == (5, 1, 1.0, 2.0)
    assert [(one["name"], one["requests"], one["errors"]) for one in then["tasks"]] == [("a", 1, 0), ("b", 4, 1)]
    assert (then["latency"]["min_ms"], then["latency"]["max_ms"]) == (10.0, 90.0)
    assert then["latency"]["p50_ms"] == pytest.approx(30, rel=0.001)
    assert then["latency"]["mean_ms"] == 38.0


def test_users_that_decide_have_no_target_and_their_number_says_the_phase(tmp_path: Path) -> None:
    lines = told(RunLines(), build_run(tmp_path), *(second(n, {}, users) for n, users in enumerate((2, 5, 5, 1))))
    assert [one["phase"] for one in lines] == ["ramp_up", "ramp_up", "steady", "ramp_down"]
    assert {one["target_rps"] for one in lines} == {0.0}
    assert all("tasks" not in one and one["latency"]["max_ms"] == 0.0 for one in lines)


def test_the_end_has_all_and_nothing_is_kept_for_it(tmp_path: Path) -> None:
    lines = RunLines("r1")
    told(lines, build_run(tmp_path), second(0, {("GET", "a"): ([10], [])}), second(1, {("GET", "a"): ([30], [])}))
    lines.end(END)
    end = json.loads(lines.last)
    assert (end["phase"], end["requests_total"], end["elapsed_secs"], end["latency"]["mean_ms"]) == ("done", 2, 2.0, 20.0)
    lines.end(END)
    assert json.loads(lines.last)["requests_total"] == 0


def test_a_line_has_a_bounded_number_of_tasks_whose_counts_still_add_up(tmp_path: Path) -> None:
    names = {("GET", f"n{number}"): ([5] * (1 + number % 3), []) for number in range(3_000)}
    (line,) = told(RunLines(), build_run(tmp_path), second(0, names))
    assert len(line["tasks"]) == MOST_TASKS
    assert sum(one["requests"] for one in line["tasks"]) == line["requests_total"] == 6_000
    assert line["tasks"][-1]["name"] == "(other)"
