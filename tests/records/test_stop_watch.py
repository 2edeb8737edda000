"""A load ends once its numbers are known as well as `stop_when` asks: what the watch decides, second by second."""

from __future__ import annotations

import math

import numpy as np
import pytest

from loadflow.engine.records import stop_watch
from loadflow.engine.records.health import Health
from loadflow.engine.records.histogram import Histogram
from loadflow.engine.records.names import SeriesName
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.records.stop_rule import StopRule, parse_width
from loadflow.engine.records.stop_watch import StopWatch
from loadflow.engine.records.totals import SeriesTotals, Totals

NAME = SeriesName("GET", "/")
MEAN_NS = 5e6


def snapshot(second: int, generator: np.random.Generator, *, hits: int = 200, slower: float = 1.0, users: int = 0) -> Snapshot:
    """Hits with exponential times of 5 ms on average."""
    times = Histogram()
    times.add((generator.exponential(MEAN_NS * slower, hits)).astype(np.int64))
    return Snapshot(second, 0.0, Totals({NAME: SeriesTotals(times)}), Health(users=users), None)


def watched(rule: StopRule, seconds: int, *, seed: int = 1, warm_up_s: int = 0, users: int | None = None) -> tuple[StopWatch, int]:
    """The watch when it was met, or after so many seconds; in a closed loop all users are there from 20 s on."""
    generator, watch = np.random.default_rng(seed), StopWatch(rule, users)
    for second in range(seconds):
        there = users if users and second >= 20 else 1
        watch.add(snapshot(second, generator, slower=4.0 if second < warm_up_s else 1.0, users=there))
        if watch.met:
            return watch, second + 1
    return watch, seconds


def rule(sure: float = 0.95, **widths: str) -> StopRule:
    return StopRule(tuple(parse_width(metric, text) for metric, text in widths.items()), sure)


WRITTEN = [
    ("p99", "±5%", 400.0, 20.0),
    ("p99", "5 %", 400.0, 20.0),
    ("p50", "±20 ms", 400.0, 20.0),
    ("mean", "+-0.02 s", 400.0, 20.0),
    ("failure_rate", "±0.5 points", 0.02, 0.005),
    ("rate", "±3 /s", 300.0, 3.0),
]


@pytest.mark.parametrize(("metric", "text", "value", "half"), WRITTEN)
def test_a_width_is_a_share_or_has_a_unit(metric: str, text: str, value: float, half: float) -> None:
    assert parse_width(metric, text).around(value) == pytest.approx(half)


@pytest.mark.parametrize(
    ("metric", "text", "said"),
    [("p99", "±5", "is no width"), ("p99", "±0%", "precise"), ("rate", "±5 ms", "unit"), ("failure_rate", "±5 /s", "unit")],
)
def test_what_is_no_width_is_refused_with_the_way_out(metric: str, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        parse_width(metric, text)
    assert "write" in raised.value.args[1]


def test_it_ends_when_the_number_is_known_and_the_true_one_is_within_the_width() -> None:
    truth_ms, within, runs = -math.log(0.05) * MEAN_NS / 1e6, 0, 20
    for seed in range(runs):
        generator, watch, times = np.random.default_rng(seed), StopWatch(rule(p95="±4%"), None), Histogram()
        for second in range(600):
            one = snapshot(second, generator)
            times.merge(one.delta.overall().succeeded)
            watch.add(one)
            if watch.met:
                break
        assert second >= 59
        assert "p95 ± " in watch.met
        assert "(±4% is asked)" in watch.met
        found_ms = times.quantile_ns(0.95) / 1e6
        within += abs(found_ms - truth_ms) <= 0.04 * found_ms
    assert within >= 0.93 * runs


def test_it_goes_on_where_one_of_several_is_not_known_and_says_what_it_reached() -> None:
    watch, _ = watched(rule(p50="±20%", p99="±0.5%"), 90)
    assert not watch.met
    assert watch.said.startswith("after 90 s: p50 ± ")
    assert "p99 ± " in watch.said


def test_the_warm_up_is_no_part_of_it() -> None:
    watch, _ = watched(rule(mean="±10%"), 90, warm_up_s=10)
    assert "without 10 s of warm-up" in watch.met


def test_in_a_closed_loop_it_begins_when_all_users_are_there() -> None:
    watch, after_s = watched(rule(mean="±10%"), 200, users=50)
    assert watch.met
    assert after_s == 80


def test_too_short_a_load_says_so() -> None:
    watch, _ = watched(rule(mean="±10%"), 59)
    assert "too short" in watch.said


def test_a_load_of_many_hours_is_kept_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """As units of several seconds, which are looked at as seconds are."""
    monkeypatch.setattr(stop_watch, "MOST_UNITS", 100)
    watch, _ = watched(rule(p50="±0.01%"), 700)
    assert len(watch._units) <= 101
    assert watch.said.startswith("after 700 s: p50 ± ")
