"""The hits of several logs, merged."""

from collections.abc import Iterator

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loadflow.engine.records.hitlog import HIT_DTYPE, Rows
from loadflow.engine.records.in_order import in_order


def log(times: list[int], chunk: int) -> Iterator[Rows]:
    rows = np.zeros(len(times), dtype=HIT_DTYPE)
    rows["end_ns"] = times
    rows["user"] = np.arange(len(times))
    return iter([rows[start : start + chunk] for start in range(0, len(rows), chunk)])


def merged(logs: list[list[int]], chunk: int) -> list[tuple[int, int, int]]:
    """(time, log, position in the log) in the order they come."""
    found = []
    for numbers, rows in in_order([log(times, chunk) for times in logs], chunk):
        found += list(zip(rows["end_ns"].tolist(), numbers.tolist(), rows["user"].tolist(), strict=True))
    return found


@given(st.lists(st.lists(st.integers(0, 50), max_size=60).map(sorted), max_size=4), st.integers(1, 7))
def test_all_hits_come_once_by_time_and_each_log_in_its_order(logs: list[list[int]], chunk: int) -> None:
    got = merged(logs, chunk)
    assert sorted(got) == sorted((time, number, place) for number, times in enumerate(logs) for place, time in enumerate(times))
    assert [time for time, _, _ in got] == sorted(time for time, _, _ in got)
    for number, times in enumerate(logs):
        assert [place for _, log_number, place in got if log_number == number] == list(range(len(times)))


@given(st.lists(st.integers(0, 300), max_size=80).map(sorted), st.randoms())
def test_neighbours_in_the_wrong_order_find_their_place(times: list[int], random: object) -> None:
    shuffled = list(times)
    for start in range(0, len(shuffled), 5):
        block = shuffled[start : start + 5]
        random.shuffle(block)  # type: ignore[attr-defined]
        shuffled[start : start + 5] = block
    assert [time for time, _, _ in merged([shuffled], 5)] == times


def test_logs_are_read_no_further_than_needed() -> None:
    read = 0

    def counted() -> Iterator[Rows]:
        nonlocal read
        for rows in log(list(range(1000)), 10):
            read += len(rows)
            yield rows

    merging = in_order([counted(), log([5], 10)], 10)
    next(merging)
    assert read <= 20
