"""Histograms: merging equals adding at once, quantiles keep their promise."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadflow.engine.records.histogram import Histogram, bucket_middle_ns, buckets_of

VALUES = st.lists(st.one_of(st.integers(0, 5_000), st.integers(0, 2**42)), max_size=60)
QUANTILES = ("0", "0.01", "0.5", "0.9", "0.95", "0.99", "0.999", "1")


def of(values: list[int]) -> Histogram:
    histogram = Histogram()
    histogram.add(np.array(values, dtype=np.int64))
    return histogram


@given(VALUES, VALUES)
def test_merging_is_commutative_and_equal_to_adding_all_at_once(left: list[int], right: list[int]) -> None:
    one, other, together = Histogram.merged((of(left), of(right))), Histogram.merged((of(right), of(left))), of(left + right)
    assert one.to_json() == other.to_json() == together.to_json()
    assert one.count == len(left) + len(right)


@given(VALUES, VALUES, VALUES)
def test_merging_is_associative(a: list[int], b: list[int], c: list[int]) -> None:
    left = Histogram.merged((Histogram.merged((of(a), of(b))), of(c)))
    right = Histogram.merged((of(a), Histogram.merged((of(b), of(c)))))
    assert left.to_json() == right.to_json()


@given(VALUES, VALUES)
def test_merging_leaves_the_other_as_it_was(left: list[int], right: list[int]) -> None:
    other = of(right)
    of(left).merge(other)
    assert other.to_json() == of(right).to_json()


@given(VALUES.filter(bool))
def test_a_quantile_is_within_a_1024th_of_the_exact_nearest_rank(values: list[int]) -> None:
    histogram, ordered = of(values), sorted(values)
    for q in QUANTILES:
        exact = ordered[max(1, math.ceil(Fraction(q) * len(ordered))) - 1]
        assert abs(histogram.quantile_ns(float(q)) - exact) <= exact / 1024
    assert histogram.quantile_ns(1) == ordered[-1] == histogram.max_ns
    assert histogram.min_ns == ordered[0]
    assert histogram.mean_ns == sum(values) / len(values)


@given(VALUES.filter(bool), st.lists(st.floats(0, 1), min_size=2, max_size=10))
def test_quantiles_rise_and_stay_between_minimum_and_maximum(values: list[int], qs: list[float]) -> None:
    histogram = of(values)
    found = [histogram.quantile_ns(q) for q in sorted(qs)]
    assert found == sorted(found)
    assert all(histogram.min_ns <= value <= histogram.max_ns for value in found)


@given(VALUES)
def test_json_gives_the_same_histogram_back(values: list[int]) -> None:
    back = Histogram.from_json(json.loads(json.dumps(of(values).to_json())))
    assert back.to_json() == of(values).to_json()
    assert [back.quantile_ns(float(q)) for q in QUANTILES] == [of(values).quantile_ns(float(q)) for q in QUANTILES]
    assert (back.count, back.sum_ns, back.min_ns, back.max_ns) == (len(values), sum(values), min(values, default=0), max(values, default=0))


@pytest.mark.parametrize("power", range(43))
def test_a_bucket_and_its_middle_agree_around_every_power_of_two(power: int) -> None:
    values = np.unique(np.clip(2**power + np.arange(-600, 600), 0, 2**42))
    for value, bucket in zip(values.tolist(), buckets_of(values).tolist(), strict=True):
        assert abs(bucket_middle_ns(bucket) - value) <= value / 1024
        assert int(buckets_of(np.array([int(bucket_middle_ns(bucket))]))[0]) == bucket


@given(st.integers(0, 2**42))
def test_buckets_rise_with_the_value_without_a_gap(value: int) -> None:
    here, after = buckets_of(np.array([value, value + 1])).tolist()
    assert after - here in (0, 1)


def test_values_below_zero_count_as_zero_everywhere() -> None:
    histogram = of([-5, 10])
    assert (histogram.min_ns, histogram.sum_ns, histogram.count, histogram.quantile_ns(0.5)) == (0, 10, 2, 0.0)


def test_an_empty_histogram_says_nothing() -> None:
    assert (Histogram().quantile_ns(0.5), Histogram().mean_ns, of([]).count) == (0.0, 0.0, 0)
