"""The tables and the picture of `benchmarks/compare`, from made results: what is left out says so."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from benchmarks.compare.measure import Freeze, Frozen, Pace, Throughput
from benchmarks.compare.peer import Missing, Said
from benchmarks.compare.peers.hey import Hey
from benchmarks.compare.peers.k6 import K6
from benchmarks.compare.peers.wrk import Wrk
from benchmarks.compare.picture import svg
from benchmarks.compare.tables import Found, text, true_quantile_ms

SAID = Said(1_010, 0, 1.5, 9.0)


def throughput(rate_per_s: float) -> Throughput:
    return Throughput(rate_per_s, 1e-5, 20.0, SAID, 1_000)


def found() -> Found:
    wrk, hey, k6 = Wrk(), Hey(), K6()
    made = Found({wrk: "4.1.0", hey: "0.1.4", k6: Missing("no go here")})
    made.throughput[hey] += [throughput(500.0), None, throughput(700.0)]
    made.throughput[wrk] += [throughput(1_000.0), throughput(2_000.0), throughput(1_000.0)]
    made.paces[hey][5] += [Pace(25, 24, 0.1, SAID), None]
    made.freezes[hey] = Freeze(Frozen(905, SAID), Frozen(1_000, Said(1_000, 0, None, 5.0)))
    made.freezes[wrk] = None
    made.notes.append("hey, closed loop, round 2: exit code 1: out of luck")
    return made


@pytest.mark.parametrize(
    ("fact", "row"),
    [
        ("the fastest is first, and the measure of others", "| wrk 4.1.0 | 1,000 | 1,000 to 2,000 | 1.00 | 10.0 ms | 20 MiB | +1.00% |"),
        ("rounds in which both gave a result make the ratio", "| hey 0.1.4 | 600 | 500 to 700 | 0.60 | 10.0 ms |"),
        ("a tool without a rate says so", "| wrk 4.1.0 | has no rate | – | – |"),
        ("the shortfall at a rate has no sign", "| hey 0.1.4 | per connection | 4.00% | 0.10 s |"),
        ("a failed freeze is named", "| wrk 4.1.0 | closed loop | sending, corrected at the end | failed | – | – | – | – | – |"),
        ("what a tool does not report is said", "| hey 0.1.4 | 100/s | sending | 905 | 2 ms | 9 ms | 1,000 | does not say | 5 ms |"),
        ("a tool that is missing is named with the reason", "- k6 (Go module: go.k6.io/k6) is not in the tables: no go here"),
        ("a run that failed is a note", "- hey, closed loop, round 2: exit code 1: out of luck"),
    ],
)  # fmt: skip
def test_tables(fact: str, row: str) -> None:
    assert row in text(found(), 50, 5, 100, 60.0), fact


def test_nothing_measured_is_still_a_text() -> None:
    assert "no go here" in text(Found({K6(): Missing("no go here")}), 50, 5, 100, 0.0)


@pytest.mark.parametrize(
    ("quantile", "expected_ms"),
    [(0.5, 0.0), (0.9, 0.0), (0.91, 100.0), (0.99, 900.0), (1.0, 1000.0)],
)
def test_the_truth_of_a_freeze(quantile: float, expected_ms: float) -> None:
    """At 100/s for 10 s, 100 of 1,000 are due in a second that nothing is answered in; they wait 1,000, 990, … 10 ms."""
    assert true_quantile_ms(100, 10, 1000.0, quantile) == pytest.approx(expected_ms)


def test_the_picture_is_svg_with_a_bar_for_each_number() -> None:
    root = ElementTree.fromstring(svg([("loadflow <native>", 100_000.0, 7.0), ("wrk", 50_000.0, 3.5)]))
    bars = root.findall("{http://www.w3.org/2000/svg}rect")
    widths = [float(bar.attrib["width"]) for bar in bars]
    assert [widths[0] / widths[2], widths[1] / widths[3]] == [pytest.approx(2.0), pytest.approx(2.0)]
    assert [bar.attrib["class"] for bar in bars] == ["ours", "ours", "bar", "bar"]
