"""The change that a second run would show: more than the margin, more where hits come in clusters, and none where nothing is known."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadflow.engine.records.detecting import MOST_TIMES, detectable
from tests.examples import examples

ROWS = [
    ("hardly any error: the margin decides", 0.01, 10.0, 1.0, 10.0, 10.1),
    ("independent hits", 1.0, 0.0, 1.0, 4.0, 6.0),
    ("no margin and no error", 0.0, 0.0, 1.0, 0.0, 0.001),
    ("hits in clusters: what is slower wavers by much more", 5.0, 0.0, 30.0, 30.0, 60.0),
    ("as much error behind no queue", 5.0, 0.0, 1.0, 28.0, 33.0),
    ("a number that wavers as much when it is larger", 5.0, 0.0, None, 27.0, 28.0),
    ("so much error behind a queue that no rise stands out", 10.0, 0.0, 30.0, math.inf, math.inf),
    ("a margin beyond all that is said", 1.0, 400.0, 1.0, math.inf, math.inf),
]


@pytest.mark.parametrize(("what", "error", "margin", "clustered", "least", "most"), ROWS, ids=[row[0] for row in ROWS])
def test_what_it_takes_to_be_seen(what: str, error: float, margin: float, clustered: float | None, least: float, most: float) -> None:
    """Of a value of 100, where 2.64 errors of the difference are asked for."""
    assert least <= detectable(100.0, error, off=2.64, margin=margin, clustered=clustered) <= most


@settings(max_examples=examples(60), deadline=None)
@given(st.floats(1, 1e6), st.floats(0, 0.5), st.floats(0, 0.5), st.floats(1, 1e4), st.floats(1, 4))
def test_more_error_or_more_clusters_never_show_smaller_changes(
    value: float, error: float, more: float, clustered: float, off: float
) -> None:
    found = detectable(value, error * value, off=off, margin=0.0, clustered=clustered)
    assert detectable(value, (error + more) * value, off=off, margin=0.0, clustered=clustered) >= found * (1 - 1e-4)
    assert detectable(value, error * value, off=off, margin=0.0, clustered=2 * clustered) >= found * (1 - 1e-4)
    assert found <= (MOST_TIMES - 1) * value or math.isinf(found)
