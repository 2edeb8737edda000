"""The timeline: bounded, and every bin the merge of its seconds."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from loadflow.engine.records.health import Health
from loadflow.engine.records.histogram import Histogram
from loadflow.engine.records.snapshot import SecondRow
from loadflow.engine.reports.timeline import MAX_BINS, Timeline
from tests.examples import examples


def second_row(second: int, values_ms: list[int], users: int = 1) -> SecondRow:
    good, bad = Histogram(), Histogram()
    good.add(np.array(values_ms, dtype=np.int64) * 1_000_000)
    bad.add(np.array(values_ms[:1], dtype=np.int64))
    return SecondRow(second, good, bad, Health(users=users))


@given(st.lists(st.tuples(st.integers(0, 5000), st.lists(st.integers(1, 900), max_size=3), st.integers(0, 9)), max_size=60))
@settings(max_examples=examples(15))
def test_every_bin_is_the_merge_of_its_seconds_in_any_order(seconds: list[tuple[int, list[int], int]]) -> None:
    rows = [second_row(*one) for one in seconds]
    timeline, reverse = Timeline(), Timeline()
    for row in rows:
        timeline.add(row)
    for row in reversed(rows):
        reverse.add(row)
    assert len(timeline.bins()) <= MAX_BINS
    for index, one in enumerate(timeline.bins()):
        own = [row for row in rows if row.second // timeline.width_s == index]
        assert one.succeeded.to_json() == Histogram.merged(row.succeeded for row in own).to_json()
        assert one.failed.to_json() == Histogram.merged(row.failed for row in own).to_json()
        assert one.users == max((row.health.users for row in own), default=None)
        assert reverse.bins()[index].succeeded.to_json() == one.succeeded.to_json()
    assert timeline.hits == sum(row.succeeded.count + row.failed.count for row in rows)


def test_percentiles_of_a_bin_are_those_of_its_hits_not_means_of_percentiles() -> None:
    timeline = Timeline()
    for second in range(MAX_BINS + 1):
        timeline.add(second_row(second, [1] * 99 if second % 2 else [1000]))
    first = timeline.bins()[0].succeeded
    assert first.count == 100
    assert abs(first.quantile_ns(0.5) - 1e6) < 1e3


def test_bins_are_as_wide_as_needed_and_the_last_ends_with_the_run() -> None:
    timeline = Timeline()
    for second in range(601):
        timeline.add(second_row(second, []))
    assert (timeline.width_s, len(timeline.bins()), timeline.starts_s()[-1], timeline.ends_s()[-1]) == (4, 151, 600, 601)


def test_an_empty_timeline_has_no_bins() -> None:
    assert (Timeline().bins(), Timeline().ends_s(), Timeline().hits) == ([], [], 0)
