"""docs/statistics.md: its lines of numpy give the numbers that a summary shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.records.steadiness import LIMIT
from tests.builders import build_run, facts, make_rows

PAGE = Path(__file__).resolve().parents[2] / "docs" / "statistics.md"


def test_the_lines_of_the_page_give_the_numbers_of_the_summary(tmp_path: Path) -> None:
    rows = make_rows(30_000, seconds=90, arrival_rate=True, steady=True)
    run = build_run(tmp_path / "run", rows, run_facts=facts(planned_s=90.0, plan={"stages": [{"users": 50}]}))
    told = run.summary().to_json()["precision"]
    known: dict[str, Any] = {"folder": run.folder, "from_s": int(told["steadiness"]["from_s"])}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(block, known)
    p95 = told["overall"]["p95"]
    # the summary's percentiles are those of a histogram, right to 0.1 %
    assert known["p95_ns"] / 1e6 == pytest.approx(p95["value"], rel=2e-3)
    assert known["low_ms"] == pytest.approx(p95["low"], rel=5e-3)
    assert known["high_ms"] == pytest.approx(p95["high"], rel=5e-3)
    assert (known["statistic"] <= LIMIT) == told["steadiness"]["times_are_steady"]
