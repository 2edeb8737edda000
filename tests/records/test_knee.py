"""The knee is the last step before the first that broke a limit, each step judged by the hits that were due in it alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from loadflow.engine.plan.pace import Pace, Segment
from loadflow.engine.plan.profile import ramp, step
from loadflow.engine.records.hitlog import HIT_DTYPE, Rows
from loadflow.engine.records.judge import EndReason, RunEnd
from loadflow.engine.records.knee import Knee, knee_of, steps_of
from loadflow.engine.records.outcome import HitFlag
from loadflow.engine.records.run import Run
from loadflow.engine.records.threshold import Threshold
from loadflow.engine.reports.summary_json import summary_schema
from tests.builders import build_run, facts

SECONDS = 50
PACE = Pace(step(rps=100, duration_s=SECONDS, steps=5))  # 20, 40, … 100/s, each for 10 s


def rows_of(times_ms: list[list[float]], failed: list[int] | None = None, sent: list[float] | None = None) -> Rows:
    """A hit for each pass of each step: its times by turns, so many failed, and a share of them sent."""
    made = []
    arrivals = np.array(list(PACE.arrivals()), dtype=np.int64)
    for number, times in enumerate(times_ms):
        due = arrivals[(arrivals > number * 10e9) & (arrivals <= (number + 1) * 10e9)]
        due = due[: round(len(due) * (sent[number] if sent else 1))]
        rows = np.zeros(len(due), dtype=HIT_DTYPE)
        rows["due_ns"] = rows["start_ns"] = due
        rows["end_ns"] = due + (np.resize(times, len(due)) * 1e6).astype(np.int64)
        rows["flags"] = HitFlag.FIRST
        rows["status"] = 200
        rows["error"][: failed[number] if failed else 0] = 1
        made.append(rows)
    every: Rows = np.concatenate(made)
    return every[np.argsort(every["end_ns"], kind="stable")]


def run_of(
    folder: Path,
    rows: Rows,
    *expressions: str | Threshold,
    pace: Pace = PACE,
    ran_s: float = SECONDS,
    max_failure_rate: float = 1.0,
    cut_off: bool = False,
) -> Run:
    own = facts(planned_s=float(SECONDS), plan={"pace": pace.to_json()})
    end = RunEnd(EndReason.COMPLETED, "", float(SECONDS), ran_s)
    run = build_run(folder, rows, run_facts=own, end=end, max_failure_rate=max_failure_rate, cut_off=cut_off)
    run.thresholds = tuple(one if isinstance(one, Threshold) else Threshold(one) for one in expressions)
    return run


def knee(run: Run) -> Knee:
    found = knee_of(run)
    assert found is not None
    return found


FAST = [[5.0]] * 5
# times of each step in turns, failures of each, thresholds; the step that is the knee, 0: none, and what the next one broke
CASES: list[tuple[str, list[list[float]], list[int], list[str], int, str]] = [
    ("each step is slower", [[20.0], [40.0], [80.0], [200.0], [500.0]], [0] * 5, ["p99 <= 100 ms"], 3, "p99 <= 100 ms: observed 20"),
    ("all hold", FAST, [0] * 5, ["p99 <= 100 ms"], 5, ""),
    ("the first is too slow", [[200.0], *FAST[1:]], [0] * 5, ["p99 <= 100 ms"], 0, "p99 <= 100 ms: observed 200"),
    # 1 of 50 hits of step 4 is slow: 0.8 % of all until then, so that the p99 of all would not see it
    ("slow hits that a cumulated p99 hides", [*FAST[:3], [500.0] + [5.0] * 49, [5.0]], [0] * 5, ["p99 <= 100 ms"], 3, "observed 49"),
    ("too many failures", FAST, [0, 0, 30, 50, 60], ["failure_rate <= 1%"], 2, "failure_rate <= 1%: observed 5 %"),
    ("two limits", [[20.0], [40.0], [80.0], [200.0], [500.0]], [0, 40, 0, 0, 0], ["p99 < 1 s", "failure_rate <= 1%"], 1, "failure_rate"),
]


@pytest.mark.parametrize(("times", "failed", "expressions", "held", "broke"), [one[1:] for one in CASES], ids=[one[0] for one in CASES])
def test_the_last_step_before_the_first_that_broke_a_limit(
    tmp_path: Path, times: list[list[float]], failed: list[int], expressions: list[str], held: int, broke: str
) -> None:
    found = knee(run_of(tmp_path, rows_of(times, failed), *expressions))
    assert (found.held.step if found.held else 0, found.steps) == (held, 5)
    assert broke in found.broke and bool(broke) == bool(found.broke)
    if found.held:
        assert found.held.asked_per_s == 20 * held
        assert found.held.achieved_per_s == pytest.approx(20 * held)
        assert found.held.p99_ms == pytest.approx(max(times[held - 1]), rel=0.002)


def test_a_hit_counts_to_the_step_in_which_it_was_due(tmp_path: Path) -> None:
    times = [[5.0], [5.0], [9_000.0], [5.0], [5.0]]  # most hits of step 3 end in step 4
    assert knee(run_of(tmp_path, rows_of(times), "p99 <= 100 ms")).broke.startswith("p99 <= 100 ms: observed 9,0")


def test_passes_that_were_not_started_and_the_allowed_failures_are_limits_too(tmp_path: Path) -> None:
    lost = knee(run_of(tmp_path / "lost", rows_of(FAST, sent=[1, 1, 0.9, 1, 1]), "p99 <= 100 ms"))
    assert (lost.held and lost.held.step, lost.broke) == (2, "540 of 600 passes were started")
    failing = knee(run_of(tmp_path / "failing", rows_of(FAST, [0, 3, 0, 0, 0]), "p99 <= 100 ms", max_failure_rate=0.0))
    assert failing.broke == "3 of 400 hits failed, and max_failure_rate permits 0 %"
    assert failing.text.startswith(
        "knee: step 1 of 5, 20/s asked and 20.0/s achieved, p99 5 ms, 0 % failed; step 2 broke a limit: 3 of 400"
    )
    early = knee(run_of(tmp_path / "early", rows_of(FAST[:3]), "p99 <= 100 ms", ran_s=25.0))
    assert early.broke == "the load ended 25.0 s after its begin, before the step was over"


def test_of_other_loads_there_is_none(tmp_path: Path) -> None:
    rows = rows_of(FAST)
    assert knee_of(run_of(tmp_path / "a", rows)) is None
    assert knee_of(run_of(tmp_path / "b", rows, Threshold("p99 < 100", window=(0.0, 5.0)), Threshold("p99 < 100", steady=True))) is None
    assert knee_of(run_of(tmp_path / "c", rows, "p99 < 100", pace=Pace(ramp(rps=100, duration_s=30, ramp_up_s=20)))) is None
    assert knee_of(run_of(tmp_path / "d", rows, "p99 < 100", cut_off=True)) is None
    assert steps_of([Segment(10, 20, 20)]) == steps_of([Segment(10, 20, 20), Segment(10, 10, 10)]) == []


def test_it_is_in_the_summary_and_its_schema(tmp_path: Path) -> None:
    run = run_of(tmp_path, rows_of([[20.0], [200.0], [200.0], [200.0], [200.0]]), "p99 <= 100 ms")
    summary = run.summary().to_json()
    Draft202012Validator(summary_schema()).validate(summary)
    assert summary["knee"]["held"]["step"] == 1
    assert summary["knee"]["broke"].startswith("p99 <= 100 ms")
    assert run.summary().knee is knee_of(run)
