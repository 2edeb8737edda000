"""When a capacity that changes meets the expected peak: the slope of Theil and Sen, its interval, and what a search says of it."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadflow.engine.history.capacity import Probe, Wanted
from loadflow.engine.history.capacity_words import forecast_sentences
from loadflow.engine.history.forecast import DAY_S, LEAST_SEARCHES, Measured, forecast_of
from loadflow.engine.load import capacity
from loadflow.engine.load.capacity import find_capacity
from loadflow.engine.session.session import Session, use_session
from loadflow.flows.capacity_page import capacity_markdown

TEXT, LIMIT_S = "p99 < 100 ms", 0.1


def nights(logs: list[float], every_days: float = 1.0) -> list[Measured]:
    return [Measured(number * every_days * DAY_S, math.exp(one)) for number, one in enumerate(logs)]


def test_the_slope_is_that_of_the_textbook() -> None:
    """Hollander, Wolfe & Chicken, example 9.1: the slopes of all pairs, the median of which is the estimate."""
    values = [0.0, 3.0, 1.0, 9.0, 4.0, 6.0, 7.0]
    found = forecast_of(nights([0.1 * one for one in values]))
    assert found is not None
    slopes = [(values[b] - values[a]) / (b - a) * 0.1 for a in range(7) for b in range(a + 1, 7)]
    assert found.per_day == pytest.approx(float(np.median(slopes)))
    # N = 21 slopes, z √(7 · 6 · 19 / 18) = 8.53: the slopes of rank 6.2 and 14.8, outwards
    assert (found.low_per_day, found.high_per_day) == pytest.approx((sorted(slopes)[6], sorted(slopes)[15]))


def test_too_few_searches_or_days_say_nothing() -> None:
    assert forecast_of(nights([5.0] * (LEAST_SEARCHES - 1))) is None
    assert forecast_of(nights([5.0] * 20, every_days=0.1)) is None
    assert forecast_of(nights([5.0] * LEAST_SEARCHES)) is not None


def test_one_odd_night_turns_nothing() -> None:
    logs = [5.0 - 0.01 * day for day in range(12)]
    plain, odd = forecast_of(nights(logs)), forecast_of(nights([*logs[:6], 3.0, *logs[7:]]))
    assert plain is not None
    assert odd is not None
    assert odd.per_day == pytest.approx(plain.per_day)


def test_the_band_and_the_dates_hold_the_truth_in_about_80_percent() -> None:
    """Small version of benchmarks/capacity.py."""
    generator, runs, count, slope = np.random.default_rng(20_261_130), 400, 14, -0.005
    held = met = 0
    for _ in range(runs):
        logs = math.log(200) + slope * np.arange(count) + generator.normal(0, 0.02, count)
        true_day = count - 1 + 8
        found = forecast_of(nights(logs.tolist()), peak_per_s=200 * math.exp(slope * true_day))
        assert found is not None
        low, _, high = found.at(true_day * DAY_S)
        held += low <= 200 * math.exp(slope * true_day) <= high
        early = found.earliest_unix_s is not None and found.earliest_unix_s <= (true_day + 1) * DAY_S
        met += early and (found.latest_unix_s is None or found.latest_unix_s >= true_day * DAY_S)
    assert 0.74 * runs <= held <= 0.9 * runs
    assert 0.74 * runs <= met <= 0.95 * runs


FALLING = [math.log(200) - 0.01 * day for day in range(14)]


@pytest.mark.parametrize(
    ("what", "peak", "growth", "said"),
    [
        ("above it", 300.0, 0.0, r"It does not bear the expected peak of 300/s as it is\."),
        ("a week away", 163.0, 0.0, r"It meets the expected peak of 163/s on 1970-01-2\d, with 80 % certainty between"),
        ("a peak that grows is met earlier", 150.0, 0.01, r"It meets the expected peak of 150/s on 1970-01-2\d, with"),
        ("far away", 20.0, 0.0, r"It does not meet the expected peak of 20/s until 1970-02-09; it is not said for more than 2 times"),
    ],
)
def test_the_date_is_said(what: str, peak: float, growth: float, said: str) -> None:
    found = forecast_of(nights(FALLING), peak, growth)
    assert found is not None
    text = " ".join(forecast_sentences(found))
    assert re.search(said, text), text
    assert text.startswith("By 14 searches in 13 days it changes by -6.8% a week, with 80 % certainty between -6.8% and -6.8%.")


def test_searches_of_many_nights_give_a_forecast_and_those_of_another_load_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes of a server that gets slower by 2 % each night, in closed form."""
    night = 0

    def load(session: Any, plain: Any, name: str, wanted: Wanted, expressions: Any) -> Probe:
        served_per_s = 200 * 0.98**night
        share = min(0.99, math.exp(-max(1.0, served_per_s - wanted.rate_per_s) * LIMIT_S))
        told = {"sustained": wanted.rate_per_s < served_per_s, "achieved_per_s": wanted.rate_per_s, "run": "20260901-020000-shop-1f2e3d4c"}
        return Probe(wanted.step, wanted.rate_per_s, wanted.seconds, {TEXT: (share, 50_000.0)}, mean_ms=5.0 + share, **told)

    def search(**more: Any) -> dict[str, Any]:
        step = {"method": "get", "request_url": "http://127.0.0.1:9/"}
        test = {"user_detail_dict": {"user": "fast_http_user"}, "tasks": [step], **more}
        with use_session(Session(runs_dir=tmp_path, label="shop")):
            return find_capacity(test, [TEXT], peak=120)

    monkeypatch.setattr(capacity, "_made", load)
    monkeypatch.setattr(capacity.time, "time", lambda: (20_000 + night) * DAY_S)
    results = []
    for night in range(9):
        results.append(search(revision=f"1.{night}"))
    assert [one["forecast"] is not None for one in results] == [False] * 6 + [True] * 3
    last = results[-1]
    assert last["forecast"]["searches"] == 9
    assert [round(one["capacity_per_s"]) for one in last["searches"]] == [round(one["capacity_per_s"]) for one in results]
    assert last["forecast"]["meets_unix_s"] is not None
    page = Path(last["page"]).read_text(encoding="utf-8")
    assert page.count("<img ") == 3
    assert "It meets the expected peak of 120/s on 2024-10-" in page
    assert page.count('<a href="20260901-020000-shop-1f2e3d4c/report.html">') == len(last["probes"])
    markdown = capacity_markdown(last)
    assert "It meets the expected peak of 120/s on 2024-10-" in markdown
    assert markdown.count("](data:image/svg+xml;base64,") == 3
    assert search(host="http://127.0.0.1:7")["forecast"] is None
