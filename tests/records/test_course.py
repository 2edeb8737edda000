"""The course of each name and status: counts are exact, percentiles within 1/128, whatever the length and the number of names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from loadflow.engine.records import course as module
from loadflow.engine.records.course import CourseCounter, course_of
from loadflow.engine.records.names import SeriesName
from loadflow.engine.records.run import Run
from tests.builders import build_run, make_rows


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return build_run(tmp_path_factory.mktemp("course"), make_rows(4_000, seconds=10, failure_rate=0.1))


def test_each_bin_holds_the_hits_that_ended_in_it(run: Run) -> None:
    found = course_of([(run, 0)], 2, 10)
    assert found is not None
    rows = run.hits()
    bins = rows["end_ns"] // 2_000_000_000
    for number, one in enumerate(found.names):
        own = rows["series"] == next(id for id, name in run.names().series.items() if name == one.name)
        assert one.hits == [int(np.count_nonzero(own & (bins == index))) for index in range(5)], number
        assert one.failed == [int(np.count_nonzero(own & (bins == index) & (rows["outcome"] != 0))) for index in range(5)]
        for q, values in zip((0.5, 0.95, 0.99), one.times_ms, strict=True):
            for index, value in enumerate(values):
                times = np.sort((rows["end_ns"] - rows["due_ns"])[own & (bins == index)])
                assert value == pytest.approx(times[int(np.ceil(q * len(times))) - 1] / 1e6, rel=1 / 127)
    for (status, failed), counts in found.statuses.items():
        own = (rows["status"] == status) & ((rows["outcome"] != 0) == failed)
        assert counts == [int(np.count_nonzero(own & (bins == index))) for index in range(5)]
    assert set(found.statuses) == {(200, False), (503, True)}


def test_rows_that_come_in_parts_make_the_same_course(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, names = run.hits(), run.names().series
    whole, parts = (CourseCounter(list(names.values()), 1, 10) for _ in range(2))
    whole.add(rows, names)
    monkeypatch.setattr(module, "MERGE_AT", 100)
    for start in range(0, len(rows), 333):
        parts.add(rows[start : start + 333], names)
    assert parts.course() == whole.course()


def test_a_second_run_stands_behind_the_first(run: Run) -> None:
    found = course_of([(run, 0), (run, 10)], 1, 20)
    assert found is not None
    for one in found.names:
        assert one.hits[:10] == one.hits[10:]


def test_many_names_have_wider_bins_and_the_rarest_none(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr(module, "MOST_NAMES", 2)
    monkeypatch.setattr(module, "MOST_CELLS", 6)
    found = course_of([(run, 0)], 1, 10)
    assert found is not None
    assert (len(found.names), found.names_left_out, found.names_width_s) == (2, 1, 4)
    assert all(len(one.hits) == 3 for one in found.names)


def test_of_a_huge_log_each_hit_that_is_counted_stands_for_several(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr(module, "MOST_HITS", 1_000)
    found = course_of([(run, 0)], 10, 10)
    assert found is not None
    assert found.every == 4
    assert sum(sum(one.hits) for one in found.names) == 4_000
    assert sum(sum(counts) for counts in found.statuses.values()) == 4_000


def test_without_all_hits_nothing_is_said(tmp_path: Path) -> None:
    run = build_run(tmp_path, make_rows(100))
    run.hits_path(0).unlink()
    assert course_of([(run, 0)], 1, 30) is None


def test_rows_whose_name_is_lost_are_in_no_course_but_have_a_status() -> None:
    counter = CourseCounter([SeriesName("GET", "/")], 1, 30)
    counter.add(make_rows(50, series=2), {})
    found = counter.course()
    assert sum(found.names[0].hits) == 0
    assert sum(sum(counts) for counts in found.statuses.values()) == 50
