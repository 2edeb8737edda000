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
from loadflow.flows.trend import MOST_RUNS, trend_page
from tests.builders import STARTED_UNIX_S, build_run, facts, make_rows
from tests.cli.test_compare import slower


def a_run(root: Path, number: int, *, factor: float = 1.0, hits: int = 3_000, **about: Any) -> Run:
    run_id = f"20260901-12{number:02}00-shop-{number:08}"
    known = facts(id=run_id, folder=str(root / run_id), started_unix_s=STARTED_UNIX_S + number * 60, **about)
    return build_run(root / run_id, slower(make_rows(hits, failure_rate=0.0), factor), run_facts=known)


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
    slow = a_run(tmp_path, 2, factor=2)
    a_run(tmp_path, 3)
    page = trend_page(slow)
    assert page.startswith("# The last 2 runs\n\nAgainst the run before: ▲ **worse**: p50 +")
    newest, oldest = rows_of(page)
    assert "▲ **worse** p50 +" in newest
    assert newest.count("**") >= 8  # figures that are worse are bold too
    assert oldest.endswith("| – |")


def test_the_chart_is_a_well_formed_image_with_a_point_for_each_run_and_a_mark_where_it_changed(tmp_path: Path) -> None:
    for number in range(3):
        run = a_run(tmp_path, number, factor=2 if number == 2 else 1)
    (image,) = re.findall(r"!\[[^\]]*\]\(data:image/svg\+xml;base64,([^)]+)\)", trend_page(run))
    root = ET.fromstring(base64.b64decode(image))
    names = [element.tag.rpartition("}")[2] for element in root.iter()]
    assert names.count("circle") == 3 * 3
    assert [element.get("class") for element in root.iter()].count("mark s-worse") == 1
    words = ["".join(element.itertext()) for element in root.iter() if element.tag.endswith("text")]
    assert {"▲ worse", "p50", "p95", "p99"} <= set(words)


@pytest.mark.parametrize("factors", [(1, 2), (2, 1), (1, 1, 2)], ids=["worse at the right", "better at the right", "three runs"])
def test_every_word_of_the_chart_lies_inside_of_it_and_no_two_names_of_lines_meet(tmp_path: Path, factors: tuple[int, ...]) -> None:
    for number, factor in enumerate(factors):
        run = a_run(tmp_path, number, factor=factor)
    (image,) = re.findall(r"!\[[^\]]*\]\(data:image/svg\+xml;base64,([^)]+)\)", trend_page(run))
    root = ET.fromstring(base64.b64decode(image))
    heights = []
    for element in root.iter():
        if not element.tag.endswith("text"):
            continue
        words, x = "".join(element.itertext()), float(element.get("x", "0"))
        width = 6.5 * len(words)  # at 11 px
        left = {"middle": x - width / 2, "end": x - width}.get(element.get("text-anchor", ""), x)
        assert left >= -1, words
        assert left + width <= float(root.get("width", "0")) + 1, words
        if re.fullmatch(r"p\d\d", words):
            heights.append(float(element.get("y", "0")))
    assert min(upper - lower for upper, lower in pairwise(heights)) >= 11


def test_it_is_bounded_and_reads_no_hit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(MOST_RUNS + 5):
        run = a_run(tmp_path, number, hits=200)
    (tmp_path / f"20260901-12{MOST_RUNS:02}00-shop-{MOST_RUNS:08}" / "totals.json").unlink()  # as of one that was cut off
    monkeypatch.setattr(Run, "iter_hits", lambda *_: pytest.fail("a hit was read"))
    page = trend_page(run)
    assert len(rows_of(page)) == MOST_RUNS
    assert len(page.encode()) < 100_000
