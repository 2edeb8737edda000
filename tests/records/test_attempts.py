"""Which attempt of a step decides: the last one there was, whatever was planned after it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadflow.engine.records.attempts import OpenAttempts, final_rows, iter_final_rows
from loadflow.engine.records.hitlog import HIT_DTYPE, HitLogWriter, Rows
from loadflow.engine.records.outcome import HitFlag, Outcome
from loadflow.engine.records.run import Run
from loadflow.engine.reliability.budget import FailureBudget
from loadflow.engine.reliability.budget_watch import BudgetWatch
from tests.builders import build_run

S, R = HitFlag.SUPERSEDED, HitFlag.RETRY

# a user's steps: how many attempts each took, and whether the last of them planned another that was cut off
Course = list[tuple[int, bool]]


def attempts_of(course: Course) -> list[tuple[int, bool]]:
    """(flags, whether it decides) of each attempt, in order. Only a user's last step can be cut off: nothing follows it."""
    found = []
    for number, (attempts, cut_off) in enumerate(course):
        for attempt in range(attempts):
            last = attempt == attempts - 1
            planned = not last or (cut_off and number == len(course) - 1)
            found.append(((R if attempt else 0) | (S if planned else 0), last))
    return found


def log_of(path: Path, rows: Rows) -> Path:
    HitLogWriter(path, shard=0, origin_unix_ns=0, origin_monotonic_ns=0).close()
    with path.open("ab") as file:
        rows.tofile(file)
    return path


@given(st.lists(st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=4), min_size=1, max_size=4), st.randoms(), st.integers(1, 7))
def test_an_attempt_is_replaced_exactly_when_another_followed_it(courses: list[Course], random: object, chunk: int) -> None:
    waiting = [[(user, *attempt) for attempt in attempts_of(course)] for user, course in enumerate(courses)]
    mixed = []
    while any(waiting):
        mixed.append(random.choice([one for one in waiting if one]).pop(0))  # type: ignore[attr-defined]
    rows = np.zeros(len(mixed), dtype=HIT_DTYPE)
    for row, (user, flags, _) in zip(rows, mixed, strict=True):
        row["user"], row["flags"] = user, int(flags)
    attempts = OpenAttempts()
    for first in range(0, len(rows), chunk):
        attempts.take(rows[first : first + chunk])
    open_ones = set(attempts.numbers().tolist())
    assert open_ones == {number for number, (_, flags, decides) in enumerate(mixed) if decides and flags & S}
    assert len(attempts.rows()) == len(open_ones)
    assert not (attempts.rows()["flags"] & S).any()


# what one user sends at once: how many attempts each step took, and whether the end cut off another
AtOnce = list[tuple[int, bool]]


@given(
    st.lists(st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=1, max_size=4), min_size=1, max_size=3),
    st.randoms(),
    st.integers(1, 7),
)
def test_of_steps_at_once_each_has_its_own_attempts(users: list[AtOnce], random: object, chunk: int) -> None:
    """Every step has a name of its own; the attempts of a user's steps come in any order, those of one step in theirs."""
    waiting = []
    for user, batch in enumerate(users):
        for series, (attempts, cut_off) in enumerate(batch):
            flags = [(R if number else 0) | (S if number < attempts - 1 or cut_off else 0) for number in range(attempts)]
            waiting.append([(user, series, flag, cut_off and number == attempts - 1) for number, flag in enumerate(flags)])
    mixed = []
    while any(waiting):
        mixed.append(random.choice([one for one in waiting if one]).pop(0))  # type: ignore[attr-defined]
    rows = np.zeros(len(mixed), dtype=HIT_DTYPE)
    for row, (user, series, flags, _) in zip(rows, mixed, strict=True):
        row["user"], row["series"], row["flags"] = user, series, int(flags)
    attempts_seen = OpenAttempts()
    for first in range(0, len(rows), chunk):
        attempts_seen.take(rows[first : first + chunk])
    assert attempts_seen.numbers().tolist() == [number for number, (*_, is_open) in enumerate(mixed) if is_open]


@given(st.lists(st.sampled_from([S, R, S | R, 0]), min_size=1, max_size=6), st.integers(1, 7))
def test_an_attempt_that_nothing_followed_decides_also_where_the_log_lacks_rows(flags: list[int], chunk: int) -> None:
    """As after the loss of a process: a retry may be there without the attempt that it followed."""
    rows = np.zeros(len(flags), dtype=HIT_DTYPE)
    rows["flags"] = flags
    attempts = OpenAttempts()
    for start in range(0, len(rows), chunk):
        attempts.take(rows[start : start + chunk])
    if flags[-1] & S:
        assert attempts.numbers()[-1:].tolist() == [len(flags) - 1]


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_readers_of_a_log_see_what_decides(tmp_path: Path, chunk: int) -> None:
    rows = np.zeros(4, dtype=HIT_DTYPE)
    rows["user"], rows["flags"] = [1, 2, 1, 2], [S, S, R | S, R]
    path = log_of(tmp_path / "hits-0.bin", rows)
    flags = [S, S, R, R]
    assert np.concatenate(list(iter_final_rows(path, chunk)))["flags"].tolist() == flags == final_rows(path)["flags"].tolist()
    assert np.concatenate(list(iter_final_rows(path, chunk, retries=False)))["flags"].tolist() == rows["flags"].tolist()


def cut_off_run(folder: Path) -> Run:
    """A user whose retry came, and two whose retries the end cut off."""
    rows = np.zeros(5, dtype=HIT_DTYPE)
    rows["user"], rows["flags"], rows["error"] = [1, 1, 2, 3, 3], [S, R, S, 0, S], [1, 0, 1, 0, 1]
    rows["end_ns"] = np.arange(1, 6) * 10**9
    return build_run(folder, rows, cut_off=True)


def test_failures_are_those_of_attempts_that_nothing_followed(tmp_path: Path) -> None:
    summary = cut_off_run(tmp_path / "run").summary()
    overall = summary.overall
    assert (overall.count, overall.failures, overall.replaced, overall.retries) == (5, 2, 1, 1)
    assert overall.failure_rate == 0.5
    totals = summary.to_json()["totals"]
    assert totals["requests"] == totals["successes"] + totals["failures"] + totals["replaced"]


def test_a_budget_counts_them_when_their_process_is_done() -> None:
    watch = BudgetWatch(FailureBudget(threshold=0.5, min_samples=2), [0])
    rows = np.zeros(3, dtype=HIT_DTYPE)
    rows["user"], rows["flags"], rows["end_ns"] = [1, 2, 3], S, 10**8
    rows["outcome"] = int(Outcome.STATUS)
    watch.rows(0, rows)
    watch.until(0, 1e9)
    assert watch.tripped() == ""
    watch.until(0, np.inf)
    assert "3 of 3 hits" in watch.tripped()
