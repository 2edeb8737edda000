"""Blocks of seconds: how far a mean may be off when seconds depend on each other, held against what is known of such series."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.trust import called_different
from loadflow.engine.records.blocks import correlation_times, deviations, lengths, student_t, widening
from tests.examples import examples


def autoregressive(phi: float, columns: int, rows: int = 1, seed: int = 1) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """x_t = φ·x_{t-1} + noise: its correlation time is (1 + φ)/(1 - φ)."""
    noise = np.random.default_rng(seed).standard_normal((rows, columns))
    made = np.empty_like(noise)
    made[:, 0] = noise[:, 0] / math.sqrt(1 - phi**2)
    for column in range(1, columns):
        made[:, column] = phi * made[:, column - 1] + noise[:, column]
    return made


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.8])
def test_the_correlation_time_is_that_of_the_process(phi: float) -> None:
    found = correlation_times(autoregressive(phi, 3_600, 20))
    assert np.median(found) == pytest.approx((1 + phi) / (1 - phi), rel=0.15)


def test_a_series_that_does_not_vary_has_no_correlation() -> None:
    assert correlation_times(np.zeros((2, 60))).tolist() == [1.0, 1.0]
    assert correlation_times(np.full((1, 60), 7.0)).tolist() == [1.0]


TABLE_OF_T = [(5, 2.571), (6, 2.447), (9, 2.262), (11, 2.201), (30, 2.042), (1_000, 1.962)]


@pytest.mark.parametrize(("freedom", "value"), TABLE_OF_T)
def test_students_t_is_that_of_the_tables(freedom: int, value: float) -> None:
    assert student_t(0.975, freedom) == pytest.approx(value, abs=0.001)


def test_few_blocks_widen_and_many_do_not() -> None:
    assert widening(6, 0.95) == pytest.approx(2.571 / 1.96 * math.sqrt(6 / 5), rel=0.001)
    assert widening(10_000, 0.95) == pytest.approx(1.0, rel=0.001)


@pytest.mark.parametrize(("phi", "columns", "least"), [(0.0, 60, 0.90), (0.0, 600, 0.92), (0.5, 600, 0.91), (0.8, 1_200, 0.90)])
def test_the_interval_of_a_mean_holds_the_truth_as_often_as_it_says(phi: float, columns: int, least: float) -> None:
    """Which is 0 here; 200 series each, whose own means are off by chance."""
    series = autoregressive(phi, columns, 200, seed=4)
    off = deviations(series, least=5, confidence=0.95, draws=500, generator=np.random.default_rng(5))
    low, high = np.quantile(off, (0.025, 0.975), axis=1)
    means = series.mean(axis=1)
    assert least <= np.mean((means + low <= 0) & (means + high >= 0)) <= 0.99


SERIES = st.lists(st.floats(-1e6, 1e6), min_size=30, max_size=300)


@settings(max_examples=examples(20), deadline=None)
@given(SERIES)
def test_a_block_is_never_shorter_than_asked_nor_longer_than_a_sixth(values: list[float]) -> None:
    (length,) = lengths(np.array([values]), 5)
    assert 5 <= length <= len(values) // 6


@settings(max_examples=examples(15), deadline=None)
@given(SERIES, st.floats(0.001, 1_000), st.floats(-1e6, 1e6))
def test_deviations_grow_with_the_unit_and_not_with_the_level(values: list[float], unit: float, level: float) -> None:
    def drawn(series: list[float]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        return deviations(np.array([series]), least=5, confidence=0.95, draws=50, generator=np.random.default_rng(1))

    if lengths(np.array([values]), 5) == lengths(np.array([[unit * one + level for one in values]]), 5):
        size = max(map(abs, values)) * unit + abs(level) + 1e-9
        assert drawn([unit * one + level for one in values]) == pytest.approx(unit * drawn(values), abs=1e-5 * size)


def test_too_short_a_series_is_refused() -> None:
    with pytest.raises(ValueError, match="29 columns can't make 6 blocks of 5"):
        lengths(np.zeros((1, 29)), 5)


@pytest.mark.parametrize("load", [0.0, 0.5, 0.8])
def test_an_unchanged_queue_is_not_called_different(load: float) -> None:
    """A small version of benchmarks/trust.py, where the shares stand: at most one pair of twelve, which chance may do."""
    assert len([pair for pair in range(12) if called_different(load, pair)]) <= 1


def test_a_queue_that_got_slower_by_a_third_is() -> None:
    assert sum("p50" in called_different(0.5, pair, slower=1.3) for pair in range(8)) >= 7
