"""What is said of the generator itself: whether its books balance, and what of the p99 may be its own."""

from __future__ import annotations

import numpy as np
import pytest

from loadflow.engine.machine.calibration import Ceiling, Jitter
from loadflow.engine.records.books import books_of, ours_of
from loadflow.engine.records.health import Health
from loadflow.engine.records.histogram import Histogram
from loadflow.engine.records.hitlog import HIT_DTYPE, Rows
from loadflow.engine.records.names import SeriesName
from loadflow.engine.records.seconds import SecondCounter, SecondCounts
from loadflow.engine.records.totals import SeriesTotals, Totals

SECONDS = 60
NAME = SeriesName("GET", "/")


def rows_of(mean_s: float, per_s: int = 200) -> Rows:
    generator = np.random.default_rng(1)
    rows = np.zeros(per_s * SECONDS, dtype=HIT_DTYPE)
    start_s = np.sort(generator.uniform(0, SECONDS, len(rows)))
    rows["due_ns"] = rows["start_ns"] = start_s * 1e9
    rows["end_ns"] = (start_s + generator.exponential(mean_s, len(rows))) * 1e9
    return rows


def seconds_of(rows: Rows) -> SecondCounts:
    times = Histogram()
    times.add(rows["end_ns"] - rows["due_ns"])
    counter = SecondCounter(Totals({NAME: SeriesTotals(times)}), SECONDS)
    for part in np.array_split(rows, 7):  # as a log is read
        counter.add(part, {0: NAME})
    return counter.counts()


def looked(rows: Rows, missing: float = 0.0) -> list[Health]:
    """What a generator counts that knows of every hit, though the log lacks the share `missing` of them."""
    at_ns = np.arange(1, SECONDS + 1) * 1_000_000_000
    counted = [int(np.count_nonzero((rows["start_ns"] < at) & (rows["end_ns"] >= at))) for at in at_ns]
    return [Health(in_flight=round(count / (1 - missing))) for count in counted]


def test_in_flight_at_the_end_of_each_second_is_what_the_times_say() -> None:
    rows = rows_of(1.5)
    assert seconds_of(rows).in_flight.tolist() == [one.in_flight for one in looked(rows)]


@pytest.mark.parametrize("mean_s", [0.02, 0.5, 2.0])
def test_books_of_a_whole_log_balance(mean_s: float) -> None:
    rows = rows_of(mean_s)
    books = books_of(seconds_of(rows), looked(rows))
    assert books is not None
    assert books.by_times == pytest.approx(200 * mean_s, rel=0.1)
    assert books.balance


def test_books_from_which_hits_are_missing_do_not() -> None:
    rows = rows_of(1.0)
    kept = rows[np.random.default_rng(2).uniform(size=len(rows)) > 0.05]
    books = books_of(seconds_of(kept), looked(rows))
    assert books is not None
    assert books.off == pytest.approx(0.05, abs=0.01)
    assert not books.balance
    of_many_loops = books_of(seconds_of(kept), looked(rows), loops=8)
    assert of_many_loops is not None
    assert of_many_loops.balance  # each of the loops may be at one that ends at the very moment


def test_with_less_than_one_in_flight_nothing_is_said() -> None:
    rows = rows_of(0.002)
    assert books_of(seconds_of(rows), looked(rows)) is None
    assert books_of(seconds_of(rows_of(1.0)), looked(rows)[:20]) is None


def test_the_generators_share_is_its_floor_and_what_was_late() -> None:
    times, service = Histogram(), Histogram()
    times.add(np.full(1_000, 4_100_000))
    service.add(np.full(1_000, 3_800_000))
    ceiling = Ceiling(floor=Jitter(0.1, 0.4, 2.0))
    ours = ours_of(ceiling, times, service)
    assert ours is not None
    assert (ours.p99_ms, ours.ours_ms) == (pytest.approx(4.1, rel=2e-3), pytest.approx(0.7, abs=0.01))
    assert ours.share == pytest.approx(0.7 / 4.1, abs=0.01)
    closed = ours_of(ceiling, times, Histogram())
    assert closed is not None
    assert closed.late_ms == 0.0
    assert ours_of(Ceiling(), times, service) is None  # of a calibration of an older release
    assert ours_of(None, times, service) is None
