"""The summary: keys that readers rely on, and numbers that follow from the hits."""

from pathlib import Path

import numpy as np
import pytest

from loadflow.engine.base.verdict import Verdict, VerdictKind
from loadflow.engine.records.names import SeriesName
from loadflow.engine.records.summary import summarise
from loadflow.engine.records.totals import SeriesTotals, Totals
from tests.builders import build_run, facts, make_rows


def series(*values_ms: int) -> SeriesTotals:
    totals = SeriesTotals()
    totals.succeeded.add(np.array(values_ms) * 1_000_000)
    return totals


def per_name(*names: tuple[str, str]) -> list[str]:
    totals = Totals({SeriesName(method, name): series(number + 1) for number, (method, name) in enumerate(names)}, {}, 0, 10**9)
    summary = summarise(totals, duration_s=1.0, runs=[facts()], verdict=Verdict(VerdictKind.PASSED), warnings=[], health=[], samples={})
    return list(summary.to_json()["per_name"])


def test_the_keys_of_readers_of_old_are_there(tmp_path: Path) -> None:
    data = build_run(tmp_path).summary().to_json()
    assert {"requests", "successes", "failures", "failure_rate"} <= data["totals"].keys()
    latency = {"count", "min_ms", "mean_ms", "p50_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms"}
    assert latency <= data["latency_overall"].keys()
    assert all(latency <= one.keys() for one in data["per_name"].values())
    assert set(data["per_name"]) == {"/items", "/login", "/search"}


def test_the_numbers_follow_from_the_hits(tmp_path: Path) -> None:
    rows = make_rows(5000, arrival_rate=True)
    data = build_run(tmp_path, rows).summary().to_json()
    response_ms = np.sort(rows["end_ns"] - rows["due_ns"]) / 1e6
    assert data["totals"]["requests"] == 5000
    assert data["totals"]["failures"] == np.count_nonzero(rows["error"])
    assert data["totals"]["received_bytes"] == rows["received_bytes"].sum()
    assert data["duration_s"] == 30.0  # of the load, not from the first hit to the last
    assert data["totals"]["rate_per_s"] == pytest.approx(5000 / 30)
    assert data["latency_overall"]["mean_ms"] == pytest.approx(response_ms.mean())
    assert data["latency_overall"]["max_ms"] == response_ms[-1]
    assert data["latency_overall"]["p99_ms"] == pytest.approx(response_ms[int(0.99 * 5000) - 1], rel=1 / 1024)
    assert data["latency_service"]["max_ms"] == ((rows["end_ns"] - rows["start_ns"])[rows["due_ns"] < rows["start_ns"]]).max() / 1e6


def test_with_users_in_a_closed_loop_there_is_no_service_time_of_its_own(tmp_path: Path) -> None:
    assert build_run(tmp_path, make_rows(500)).summary().to_json()["latency_service"] is None


@pytest.mark.parametrize(
    ("names", "keys"),
    [
        ([("GET", "/a"), ("GET", "/b")], ["/a", "/b"]),
        ([("GET", "/a"), ("POST", "/a")], ["GET /a", "POST /a"]),
        ([("GET", "/a"), ("POST", "/a"), ("X", "GET /a")], ["GET /a", "POST /a", "GET /a (2)"]),
    ],
    ids=["plain names", "two methods share a name", "a name that looks like a method and a name"],
)
def test_no_series_is_lost_to_a_key_of_another(names: list[tuple[str, str]], keys: list[str]) -> None:
    assert per_name(*names) == keys
