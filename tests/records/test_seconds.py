"""What ended in each second: from a folder, from its kept file, from a database, and by counting in plain Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from loadflow.engine.records import kept_seconds
from loadflow.engine.records.kept_seconds import seconds_of_all, seconds_of_run
from loadflow.engine.records.names import SeriesName
from loadflow.engine.records.outcome import HitFlag, Outcome
from loadflow.engine.records.run import Run
from loadflow.engine.records.seconds import QUANTILES, SecondCounter, SecondCounts, from_bytes, to_bytes
from loadflow.engine.records.totals import SeriesTotals, Totals
from loadflow.engine.store.place import place_of
from loadflow.engine.store.second_counts import stored_second_counts
from loadflow.engine.store.write import persist
from tests.builders import build_run, make_rows


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    rows = make_rows(3_000, seconds=31, failure_rate=0.05, arrival_rate=True)
    rows["flags"][::7] = HitFlag.SUPERSEDED
    return build_run(tmp_path_factory.mktemp("runs") / "run", rows)


def equal(one: SecondCounts, other: SecondCounts) -> None:
    assert (one.names, one.unit_s) == (other.names, other.unit_s)
    for name in ("hits", "above", "sum_ns", "decisive", "failed"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)


def test_they_are_what_counting_hit_by_hit_gives(run: Run) -> None:
    counts = seconds_of_run(run)
    assert counts is not None
    totals, names = run.totals(), run.names().series
    every = {counts.names[0]: totals.overall(), **totals.series}
    for number, name in enumerate(counts.names):
        limits = [every[name].response().quantile_ns(q) for q in QUANTILES]
        mine = [row for row in run.hits() if number == 0 or names[int(row["series"])] == name]
        for second in range(counts.hits.shape[1]):
            there = [row for row in mine if row["end_ns"] // 1_000_000_000 == second]
            took = [int(row["end_ns"]) - int(row["due_ns"]) for row in there]
            decisive = [row for row in there if not row["flags"] & HitFlag.SUPERSEDED]
            failed = sum(row["outcome"] != Outcome.OK for row in decisive)
            found = [counts.hits, counts.sum_ns, counts.decisive, counts.failed]
            assert [one[number, second] for one in found] == [len(there), sum(took), len(decisive), failed]
            assert counts.above[number, :, second].tolist() == [sum(one > limit for one in took) for limit in limits]


def test_they_are_kept_and_read_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made = seconds_of_run(run)
    assert made is not None
    equal(from_bytes(to_bytes(made)), made)
    monkeypatch.setattr(kept_seconds, "SecondCounter", None)  # nobody counts any more
    kept = seconds_of_run(run)
    assert kept is not None
    equal(kept, made)


def test_of_all_hits_together_the_told_seconds_say_the_same_to_a_bucket(run: Run) -> None:
    by_hits, told = seconds_of_run(run), seconds_of_all(run.totals(), run.end().ran_s, run.seconds())
    assert by_hits is not None
    np.testing.assert_array_equal(told.hits[0], by_hits.hits[0])
    np.testing.assert_array_equal(told.sum_ns[0], by_hits.sum_ns[0])
    assert np.abs(told.above[0] - by_hits.above[0]).max() <= 2


def test_a_torn_file_is_made_anew(run: Run) -> None:
    made = seconds_of_run(run)
    assert made is not None
    (run.folder / "seconds.npz").write_bytes(to_bytes(made)[:100])
    again = seconds_of_run(run)
    assert again is not None
    equal(again, made)


def test_without_its_hits_a_run_has_none(run: Run, tmp_path: Path) -> None:
    bare = build_run(tmp_path / "bare", make_rows(100, seconds=31))
    bare.hits_path(0).unlink()
    (bare.folder / "seconds.npz").unlink()
    assert seconds_of_run(bare) is None


def test_a_database_counts_the_same(run: Run, tmp_path: Path) -> None:
    place = place_of(str(tmp_path / "runs.db"), None)
    (run_id,) = persist(place, [run])
    ours, theirs = seconds_of_run(run), stored_second_counts(place, run_id, run.totals(), run.end().ran_s)
    assert ours is not None
    assert theirs is not None
    order = [theirs.names.index(name) for name in ours.names]
    for name in ("hits", "above", "sum_ns", "decisive", "failed"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name)[order], name)


def test_many_names_and_hours_are_counted_in_bounded_memory() -> None:
    names = {SeriesName("GET", f"/{number}"): SeriesTotals() for number in range(2_000)}
    counter = SecondCounter(Totals(names), 86_400.0)
    assert len(counter.names) == 1_001
    assert counter.cells <= 1_000_000
    assert SecondCounter(Totals(dict(list(names.items())[:10])), 86_400.0).unit_s == 24
