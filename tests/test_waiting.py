"""A test's patience lasts longer on a busy machine, and as long as there is progress."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.waiting import Patience, share, wait_for


@pytest.mark.parametrize(
    ("loadavg", "expected"),
    [
        ("0.00 0.01 0.05 1/812 4711", 1.0),
        ("1.90 1.20 0.90 2/812 4711", 1.0),
        ("17.0 15.0 9.00 16/812 4711", 0.125),
        ("0.00 0.01 0.05 0/812 4711", 1.0),
    ],
    ids=["alone", "a process for each core", "eight for each core", "none is runnable"],
)
def test_the_share_of_a_core_on_a_machine_with_two(loadavg: str, expected: float) -> None:
    assert share(loadavg, 2) == expected


@pytest.mark.parametrize(("part", "seconds"), [(1.0, 10), (0.125, 80)], ids=["a quiet machine", "a busy machine"])
def test_a_second_counts_for_the_share_of_a_core_that_there_was(part: float, seconds: int) -> None:
    now = [0.0]
    patience = Patience(10, clock=lambda: now[0], share_now=lambda: part)
    for second in range(seconds + 1):
        now[0] = second
        assert not patience.is_over()
    now[0] += 1
    assert patience.is_over()


def test_progress_starts_the_limit_anew() -> None:
    now, lines = [0.0], [0]
    patience = Patience(10, lambda: lines[0], clock=lambda: now[0], share_now=lambda: 1.0)
    for lines[0] in range(1, 6):
        now[0] += 9
        assert not patience.is_over()
    now[0] += 11
    assert patience.is_over()


def test_what_does_not_come_is_named() -> None:
    with pytest.raises(AssertionError, match="the end of time: not within 0 s"):
        wait_for("the end of time", lambda: None, 0)


def test_what_was_found_is_given_back() -> None:
    found: Iterator[object] = iter([None, False, [], "", {}, 0])
    assert wait_for("a number", lambda: next(found), 60, every_s=0) == 0
