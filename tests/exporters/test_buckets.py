"""Classic and exponential buckets count what is in the histogram: only hits within 0.1 % of a border can be on its other side."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loadflow.engine.exporters.shared.buckets import LATENCY_BOUNDS_MS, below, exponential, middles_ns
from loadflow.engine.records.histogram import Histogram, bucket_middle_ns

TIMES_NS = st.lists(st.one_of(st.integers(0, 10**4), st.integers(10**4, 10**9), st.integers(10**9, 10**13)), max_size=200)


def histogram(values_ns: list[int]) -> Histogram:
    made = Histogram()
    made.add(np.array(values_ns, dtype=np.int64))
    return made


def test_the_middles_are_those_of_the_histogram() -> None:
    buckets = np.arange(0, 20_000, 7)
    assert middles_ns(buckets).tolist() == [bucket_middle_ns(int(bucket)) for bucket in buckets]


@given(TIMES_NS)
def test_a_hit_on_the_wrong_side_of_a_bound_is_within_a_thousandth_of_it(values_ns: list[int]) -> None:
    values_ms = np.array(values_ns, dtype=float) / 1e6
    for bound, count in zip(LATENCY_BOUNDS_MS, below(histogram(values_ns), LATENCY_BOUNDS_MS), strict=True):
        assert np.count_nonzero(values_ms <= bound * (1 - 1 / 1024)) <= count <= np.count_nonzero(values_ms <= bound * (1 + 1 / 1024))


@given(TIMES_NS, TIMES_NS)
def test_running_totals_never_go_back(first: list[int], second: list[int]) -> None:
    """Whatever is added: a count that went down would be read as a restart."""
    made = histogram(first)
    before, spread = below(made, LATENCY_BOUNDS_MS), exponential(made)
    made.merge(histogram(second))
    after, wider = below(made, LATENCY_BOUNDS_MS), exponential(made)
    assert all(one <= other for one, other in zip(before, after, strict=True))
    assert wider.scale <= spread.scale or not spread.counts


@given(TIMES_NS)
def test_exponential_buckets_hold_every_hit_within_a_thousandth_of_their_bounds(values_ns: list[int]) -> None:
    made = histogram(values_ns)
    spread = exponential(made)
    assert sum(spread.counts) + spread.zero_count == len(values_ns)
    assert len(spread.counts) <= 160
    assert spread.zero_count == values_ns.count(0)
    values_ms = np.sort(np.array([value for value in values_ns if value], dtype=float)) / 1e6
    base = 2.0 ** (2.0**-spread.scale)
    start = 0
    for index, count in enumerate(spread.counts):
        of_bucket = values_ms[start : start + count]
        if count:
            assert of_bucket.min() > base ** (spread.offset + index) * (1 - 1 / 1000)
            assert of_bucket.max() <= base ** (spread.offset + index + 1) * (1 + 1 / 1000)
        start += count


@given(st.integers(1, 4))
def test_merging_first_or_last_gives_the_same_buckets(parts: int) -> None:
    values = [int(value) for value in np.random.default_rng(parts).lognormal(16, 1, 1_000)]
    merged = Histogram.merged(histogram(values[part::parts]) for part in range(parts))
    assert exponential(merged) == exponential(histogram(values))
    assert below(merged, LATENCY_BOUNDS_MS) == below(histogram(values), LATENCY_BOUNDS_MS)
