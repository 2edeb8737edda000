"""A run's hits as a data frame: the same in every library, and as the summary counts them."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.records.frame import FRAMES
from loadflow.engine.records.run import Run
from loadflow.errors import RunError
from tests.builders import STARTED_UNIX_S, build_run, deal, make_rows


def columns(frame: Any) -> dict[str, list[Any]]:
    """As plain lists, whichever library made it."""
    if hasattr(frame, "to_pydict"):
        made: dict[str, list[Any]] = frame.to_pydict()
        return made
    by_name: dict[str, list[Any]] = frame.to_dict(as_series=False) if hasattr(frame, "with_columns") else frame.to_dict(orient="list")
    return by_name


def made(folder: Path, hits: int, shards: int) -> Run:
    return deal(build_run(folder, make_rows(hits, seconds=3, failure_rate=0.1, arrival_rate=True)), shards)


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("kind", list(FRAMES))
def test_a_frame_has_a_row_for_each_hit_and_counts_as_the_summary_does(tmp_path: Path, kind: Any, shards: int) -> None:
    run = made(tmp_path / "run", 600, shards)
    frame = columns(run.frame(kind))
    for one in run.summary().series:
        mine = [at for at in range(600) if (frame["method"][at], frame["name"][at]) == (one.method, one.name)]
        response_ms = [frame["response_ms"][at] for at in mine]
        assert (len(mine), sum(not frame["ok"][at] for at in mine)) == (one.count, one.failures)
        assert (max(response_ms), min(response_ms)) == pytest.approx((one.latency.max_ms, one.latency.min_ms))
    assert set(zip(frame["ok"], frame["outcome"], frame["error"], frame["status"], strict=True)) == {
        (True, "ok", "", 200),
        (False, "status", "status 503", 503),
    }
    started = frame["started_at"][0]
    assert datetime.fromisoformat(str(started)).timestamp() == pytest.approx(STARTED_UNIX_S + frame["start_s"][0], abs=1e-5)
    assert datetime.fromisoformat(str(started)).tzinfo == UTC or str(started).endswith("+00:00")


@pytest.mark.parametrize("kind", list(FRAMES))
@pytest.mark.parametrize("shards", [1, 3])
def test_a_run_without_hits_has_all_the_columns(tmp_path: Path, kind: Any, shards: int) -> None:
    some, none = columns(made(tmp_path / "some", 50, shards).frame(kind)), columns(made(tmp_path / "none", 0, shards).frame(kind))
    assert list(none) == list(some)
    assert all(values == [] for values in none.values())


def without(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    for package in packages:
        monkeypatch.setitem(sys.modules, package, None)


def test_without_a_wish_it_is_of_the_first_library_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = made(tmp_path / "run", 50, 1)
    assert type(run.frame()).__module__.startswith("pandas")
    without(monkeypatch, "pandas")
    assert type(run.frame()).__module__.startswith("polars")
    without(monkeypatch, "polars")
    assert type(run.frame()).__module__.startswith("pyarrow")
    without(monkeypatch, "pyarrow")
    with pytest.raises(RunError, match=r"not installed: `pip install pandas` or `pip install polars` or `pip install pyarrow`; hits\(\)"):
        run.frame()


def test_a_library_that_was_asked_for_is_not_replaced_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = made(tmp_path / "run", 50, 1)
    without(monkeypatch, "pyarrow")
    with pytest.raises(RunError, match="not installed: `pip install pyarrow`;"):
        run.frame("arrow")
    with pytest.raises(RunError, match="give one of pandas, polars, arrow"):
        run.frame("spark")  # type: ignore[arg-type]
