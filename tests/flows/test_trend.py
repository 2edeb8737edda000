"""The trend page: like runs only, changes marked, one image, bounded, and made without reading a hit."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.records.run import Run
from loadflow.engine.reports.links import REPORTS_URL_VARIABLE
from loadflow.flows.trend import MOST_RUNS, trend_page
from tests.builders import STARTED_UNIX_S, build_run, facts, make_rows
from tests.cli.test_compare import slower


def a_run(root: Path, number: int, *, factor: float = 1.0, hits: int = 3_000, **about: Any) -> Run:
    run_id = f"20260901-12{number:02}00-shop-{number:08}"
    known = facts(id=run_id, folder=str(root / run_id), started_unix_s=STARTED_UNIX_S + number * 60, **about)
    return build_run(root / run_id, slower(make_rows(hits, failure_rate=0.0, steady=True), factor), run_facts=known)


def rows_of(page: str) -> list[str]:
    return [line for line in page.splitlines() if line.startswith("| 20")]


def test_the_first_run_of_a_label_has_no_trend(tmp_path: Path) -> None:
    a_run(tmp_path, 0, label="other")
    a_run(tmp_path, 1, plan={"user_count": 9})
    assert trend_page(a_run(tmp_path, 2)) == ""


def test_the_page_has_the_like_runs_up_to_this_one_with_what_is_worse_marked(tmp_path: Path) -> None:
    a_run(tmp_path, 0)
    a_run(tmp_path, 1, label="other")
    (tmp_path / "20260901-120130-torn").mkdir()
    (tmp_path / "20260901-120130-torn" / "run.json").write_text("{", encoding="utf-8")
    slow = a_run(tmp_path, 2, factor=2, revision="1.4.1|" + "c" * 50)
    a_run(tmp_path, 3)
    page = trend_page(slow)
    assert page.startswith("## The last 2 runs\n\nAgainst the run before: ▲ **worse**: p50 +")
    newest, oldest = rows_of(page)
    assert [row.split(" | ")[1] for row in (newest, oldest)] == [f"1.4.1\\|{'c' * 33}…", "–"]
    assert "▲ **worse** p50 +" in newest
    assert newest.count("**") >= 8  # figures that are worse are bold too
    assert oldest.endswith("| – |")


def test_rows_lead_to_their_reports_and_flow_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, latest = a_run(tmp_path, 0, flow_run_url="https://prefect.test/runs/flow-run/1"), a_run(tmp_path, 1)
    assert "](https://reports" not in "".join(rows_of(trend_page(latest))), "a file of this machine opens nowhere else"
    monkeypatch.setenv(REPORTS_URL_VARIABLE, "https://reports.test/load/")
    newest, oldest = [line for line in trend_page(latest).splitlines() if line.startswith("| [20")]
    assert f"](https://reports.test/load/{latest.facts.id}/report.html) | – | passed |" in newest
    assert f"](https://reports.test/load/{first.facts.id}/report.html) | – | [passed](https://prefect.test/runs/flow-run/1) |" in oldest


def drawing(page: str) -> list[ET.Element]:
    (image,) = re.findall(r"!\[[^\]]*\]\(data:image/svg\+xml;base64,([^)]+)\)", page)
    return list(ET.fromstring(base64.b64decode(image)).iter())


def texts(elements: list[ET.Element], css: str) -> list[tuple[float, float, str]]:
    """Where texts stand and what they say, those without a word left out."""
    found = [element for element in elements if (element.get("class") or "").split()[:1] == [css] and element.text]
    return [(float(element.get("x", "")), float(element.get("y", "")), str(element.text)) for element in found]


def test_the_chart_is_a_well_formed_image_with_a_point_for_each_run_and_a_mark_where_it_changed(tmp_path: Path) -> None:
    for number in range(3):
        run = a_run(tmp_path, number, factor=2 if number == 2 else 1)
    elements = drawing(trend_page(run))
    names = [element.tag.rpartition("}")[2] for element in elements]
    assert names.count("circle") == 3 * 3
    assert [element.get("class") for element in elements].count("mark") == 1
    assert [sign for _, _, sign in texts(elements, "worse")] == ["▲"]
    assert [name for _, _, name in texts(elements, "end")] == ["p50", "p95", "p99"]


def test_no_text_of_the_chart_covers_another_and_runs_that_changed_keep_theirs(tmp_path: Path) -> None:
    for number in range(20):
        run = a_run(tmp_path, number, factor=60 if number == 16 else 1)  # which presses the others together at the bottom
    elements = drawing(trend_page(run))
    ends = [y for _, y, _ in texts(elements, "end")]
    assert all(lower - upper >= 12 for lower, upper in pairwise(ends))
    under = [(x, text) for x, y, text in texts(elements, "tick") if y > 190]
    assert all(right - left >= 7 * len(text) for (left, text), (right, _) in pairwise(under))
    started = [text for _, text in under]
    assert {"14:13", "14:29", "14:32"} <= set(started)  # the first, the worse one, the last
    assert "response time, logarithmic" in [element.text for element in elements]


def test_a_run_without_a_hit_is_left_out_of_the_lines(tmp_path: Path) -> None:
    for number in range(3):
        run = a_run(tmp_path, number, hits=0 if number == 1 else 3_000)
    points = [element.get("cx") for element in drawing(trend_page(run)) if element.tag.endswith("circle")]
    assert len(points) == 2 * 3


def test_of_runs_without_any_hit_there_is_no_chart(tmp_path: Path) -> None:
    for number in range(2):
        run = a_run(tmp_path, number, hits=0)
    page = trend_page(run)
    assert len(rows_of(page)) == 2
    assert "base64" not in page


def test_it_is_bounded_and_reads_no_hit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(MOST_RUNS + 5):
        run = a_run(tmp_path, number, hits=200)
    (tmp_path / f"20260901-12{MOST_RUNS:02}00-shop-{MOST_RUNS:08}" / "totals.json").unlink()  # as of one that was cut off
    monkeypatch.setattr(Run, "iter_hits", lambda *_: pytest.fail("a hit was read"))
    page = trend_page(run)
    assert len(rows_of(page)) == MOST_RUNS
    assert len(page.encode()) < 100_000
