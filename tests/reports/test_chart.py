"""Axes: round ticks that cover the values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadflow.engine.reports.chart import linear_scale, log_scale, time_ticks


@given(st.floats(1e-9, 1e12))
def test_a_linear_axis_covers_its_highest_value_with_few_ticks(highest: float) -> None:
    scale = linear_scale(highest, str)
    assert 0 < scale.share(highest) <= 1.000001
    assert scale.share(highest) > 0.6
    assert 2 <= len(scale.ticks) <= 6
    assert scale.ticks[0][0] == 0


@given(st.integers(1, 10**9))
def test_an_axis_of_whole_things_has_whole_ticks(highest: int) -> None:
    assert all(value == int(value) for value, _ in linear_scale(highest, str, whole=True).ticks)


@given(st.floats(1, 1e9), st.floats(1, 1e9))
def test_a_logarithmic_axis_has_its_ticks_inside(a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    scale = log_scale(low, high, str)
    assert 0 <= scale.share(low) <= scale.share(high) <= 1.000001
    assert 1 <= len(scale.ticks) <= 14
    assert all(-1e-9 <= scale.share(value) <= 1.000001 for value, _ in scale.ticks)


@pytest.mark.parametrize(
    ("end_s", "texts"),
    [
        (1, ["0:00", "0:01"]),
        (30, ["0:00", "0:05", "0:10", "0:15", "0:20", "0:25", "0:30"]),
        (600, ["0:00", "2:00", "4:00", "6:00", "8:00", "10:00"]),
        (7200, ["0:00", "15:00", "30:00", "45:00", "1:00:00", "1:15:00", "1:30:00", "1:45:00", "2:00:00"]),
    ],
)
def test_time_ticks_are_round(end_s: int, texts: list[str]) -> None:
    assert [text for _, text in time_ticks(end_s)] == texts


@given(st.floats(0.1, 1e9))
def test_time_ticks_stay_few_for_any_length(end_s: float) -> None:
    assert 1 <= len(time_ticks(end_s)) <= 9
