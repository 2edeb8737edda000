"""The failure budget: what it counts, against a naive reference; and the watch that holds it against several processes."""

from __future__ import annotations

import inspect
import random
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadflow import CircuitOpenError, FailureBudget
from loadflow.engine.records.hitlog import HIT_DTYPE, Rows
from loadflow.engine.records.outcome import HitFlag, Outcome
from loadflow.engine.reliability.budget import SLOTS
from loadflow.engine.reliability.budget_watch import BudgetWatch
from loadflow.errors import LoadflowError

events = st.lists(st.tuples(st.floats(0, 40), st.booleans()), max_size=200).map(lambda found: sorted(found, key=lambda one: one[0]))


def test_the_documented_parameters_and_defaults() -> None:
    defaults = {name: one.default for name, one in inspect.signature(FailureBudget).parameters.items()}
    assert defaults == {"threshold": 0.05, "window_seconds": 30.0, "min_samples": 50}


@given(events, st.floats(0, 60), st.floats(0.1, 50))
def test_it_counts_as_a_naive_window_does_within_one_slot(found: list[tuple[float, bool]], later: float, window: float) -> None:
    budget = FailureBudget(0.5, window, 1)
    for at, failed in found:
        budget.record(failed, now=at)
    now = (found[-1][0] if found else 0.0) + later
    samples, failures = budget.counts(now)
    # a hair on both sides for the rounding of now * slots / window
    slot, hair = window / SLOTS, 1e-9 * (1 + now)
    most = [failed for at, failed in found if at > now - window - hair]
    least = [failed for at, failed in found if at > now - window + slot + hair]
    assert len(least) <= samples <= len(most)
    assert sum(least) <= failures <= sum(most)
    assert budget.sample_count() == samples
    assert budget.failure_rate(now) == (failures / samples if samples else 0.0)
    assert budget.is_breached(now) == (samples >= 1 and failures / samples > 0.5)


@given(events, st.randoms())
def test_the_order_of_records_within_the_window_does_not_matter(found: list[tuple[float, bool]], order: random.Random) -> None:
    one, other = FailureBudget(window_seconds=80.0), FailureBudget(window_seconds=80.0)
    mixed = list(found)
    order.shuffle(mixed)
    for at, failed in found:
        one.record(failed, now=at)
    for at, failed in mixed:
        other.record(failed, now=at)
    assert one.counts(41) == other.counts(41)


def test_the_threshold_itself_is_no_breach() -> None:
    budget = FailureBudget(0.05, 30, 20)
    budget.add(19, 0, now=1.0)
    budget.record(True, now=1.0)
    assert budget.failure_rate(1.0) == 0.05
    assert not budget.is_breached(1.0)
    budget.record(True, now=1.0)
    assert budget.is_breached(1.0)


def test_too_few_samples_are_no_breach() -> None:
    budget = FailureBudget(0.0, 30, 50)
    budget.add(49, 49, now=1.0)
    assert not budget.is_breached(1.0)
    budget.record(False, now=1.0)
    assert budget.is_breached(1.0)


def test_an_empty_budget_has_no_rate_and_no_breach() -> None:
    budget = FailureBudget(0.0)
    assert (budget.failure_rate(), budget.sample_count(), budget.is_breached(), budget.tripped) == (0.0, 0, False, False)


def test_a_record_older_than_the_window_is_left_out() -> None:
    budget = FailureBudget(window_seconds=10)
    budget.record(False, now=100.0)
    budget.record(True, now=89.0)
    assert budget.counts(100.0) == (1, 0)


def test_without_a_time_it_is_now_on_the_monotonic_clock() -> None:
    budget = FailureBudget()
    budget.record(True)
    assert budget.counts(time.monotonic()) == (1, 1)
    assert budget.failure_rate() == 1.0


def test_a_trip_stays_until_it_is_set_back() -> None:
    budget = FailureBudget()
    budget.trip()
    assert budget.tripped
    budget.reset()
    assert not budget.tripped


def test_threads_lose_nothing() -> None:
    budget = FailureBudget(window_seconds=1000.0)
    together = threading.Barrier(4)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def run(number: int) -> None:
        together.wait()
        for step in range(5_000):
            budget.record(step % 2 == 0, now=50.0 + (step * 7 + number) % 300)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert budget.counts(350.0) == (20_000, 10_000)


def test_memory_does_not_grow_with_samples() -> None:
    budget = FailureBudget(window_seconds=10.0)
    for step in range(20_000):
        budget.record(False, now=step / 1000)
    sizes = [len(value) for value in vars(budget).values() if isinstance(value, list | dict)]
    assert sizes == [SLOTS, SLOTS]


@pytest.mark.parametrize(
    "wrong", [(-0.1, 30, 50), (1.1, 30, 50), (float("nan"), 30, 50), (0.1, 0, 50), (0.1, float("inf"), 50), (0.1, 30, 0)]
)
def test_numbers_that_make_no_sense_are_refused(wrong: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=r"threshold|window_seconds|min_samples"):
        FailureBudget(*wrong)


def test_the_error_for_callbacks_is_a_runtime_error_and_one_of_ours() -> None:
    assert issubclass(CircuitOpenError, RuntimeError)
    assert issubclass(CircuitOpenError, LoadflowError)


# -- the watch


def rows(*hits: tuple[float, Outcome, int]) -> Rows:
    """(second of its end, outcome, flags) of each."""
    found = np.zeros(len(hits), dtype=HIT_DTYPE)
    for number, (end_s, outcome, flags) in enumerate(hits):
        found[number]["end_ns"] = round(end_s * 1e9)
        found[number]["outcome"] = outcome
        found[number]["flags"] = flags
    return found


def watch(budget: FailureBudget, shards: int = 1) -> BudgetWatch:
    made = BudgetWatch(budget, range(shards))
    made.start(1_000_000_000_000)
    return made


def test_it_trips_with_budget_window_rate_and_samples_in_the_reason() -> None:
    budget = FailureBudget(0.05, 30, 4)
    made = watch(budget)
    made.rows(0, rows(*[(0.5, Outcome.OK, 0)] * 3, (0.75, Outcome.STATUS, 0)))
    assert made.tripped() == ""
    made.until(0, 1e9)
    assert made.tripped() == (
        "the failure budget was used up 0.8 s after the start: 1 of 4 hits in its first 0.8 s failed (25%); the budget allows 5% in 30 s"
    )
    assert budget.tripped


def test_failures_of_one_process_wait_for_the_successes_of_another() -> None:
    made = watch(FailureBudget(0.6, 30, 10), shards=2)
    made.rows(0, rows(*[(0.1, Outcome.STATUS, 0)] * 50))
    made.until(0, 0.2e9)
    assert made.tripped() == ""
    made.rows(1, rows(*[(0.1, Outcome.OK, 0)] * 50))
    made.until(1, 0.2e9)
    assert made.tripped() == ""
    made.rows(0, rows(*[(0.3, Outcome.STATUS, 0)] * 50))
    made.until(0, float("inf"))
    made.until(1, 0.4e9)
    assert "100 of 150" in made.tripped()


def test_attempts_that_a_retry_replaced_do_not_count() -> None:
    budget = FailureBudget(0.0, 30, 1)
    made = watch(budget)
    made.rows(0, rows((0.1, Outcome.DROPPED, HitFlag.SUPERSEDED), (0.2, Outcome.OK, HitFlag.RETRY)))
    made.until(0, float("inf"))
    assert made.tripped() == ""
    assert budget.sample_count() == 1


def test_a_window_in_the_middle_of_the_load_trips() -> None:
    """And a later good time would not have mended it."""
    made = watch(FailureBudget(0.5, 1, 10))
    made.rows(0, rows(*[(second / 10, Outcome.OK, 0) for second in range(100)]))
    made.rows(0, rows(*[(5.0, Outcome.TIMEOUT, 0)] * 30))
    made.until(0, 10e9)
    assert "used up 5.0 s after the start: 30 of 40 hits in the last 1 s failed (75%)" in made.tripped()


def test_a_trip_by_hand_is_a_reason_too() -> None:
    budget = FailureBudget()
    made = watch(budget)
    budget.trip()
    assert "by hand" in made.tripped()


def test_a_new_load_starts_with_a_whole_budget() -> None:
    budget = FailureBudget(0.0, 30, 1)
    budget.record(True)
    budget.trip()
    assert watch(budget).tripped() == ""
    assert budget.sample_count() == 0
