"""The profiles: LoadPilot's four by its formulas, and what goes beyond them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadflow.engine.plan import profile
from loadflow.engine.plan.pace import Pace, Segment

whole = st.integers(1, 400)


def pace(segments: tuple[Segment, ...]) -> Pace:
    return Pace(segments)


@given(whole, whole, whole, st.integers(1, 12))
def test_the_sums_are_those_of_the_formulas(p: int, d: int, u: int, s: int) -> None:
    assert pace(profile.constant(rps=p, duration_s=d)).hits == p * d
    assert pace(profile.ramp(rps=p, duration_s=d, ramp_up_s=u)).hits == p * (u + 2 * d) // 2
    assert pace(profile.step(rps=p, duration_s=d, steps=s)).hits == p * d * (s + 1) // (2 * s)
    base = min(p, max(1.0, p / 5))
    assert pace(profile.spike(rps=p, duration_s=d)).hits == pytest.approx(d * (p + 2 * base) / 3, abs=1)


RATES: list[tuple[str, tuple[Segment, ...], list[tuple[float, float]]]] = [
    ("a ramp", profile.ramp(rps=100, duration_s=60, ramp_up_s=10), [(0, 0), (5, 50), (10, 100), (69, 100), (70, 0)]),
    ("a ramp without a rise", profile.ramp(rps=100, duration_s=60, ramp_up_s=0), [(0, 100), (60, 0)]),
    ("a stair begins at its edge", profile.step(rps=100, duration_s=50, steps=5), [(0, 20), (9.9, 20), (10, 40), (49, 100)]),
    ("so does a spike", profile.spike(rps=100, duration_s=30), [(9.9, 20), (10, 100), (19.9, 100), (20, 20), (30, 0)]),
    ("a small spike stands on one a second", profile.spike(rps=3, duration_s=30), [(0, 1), (15, 3)]),
    ("one that is smaller still is flat", profile.spike(rps=0.5, duration_s=30), [(0, 0.5), (15, 0.5)]),
    ("stages hold, rise and rest", profile.stages([(10, 5, 5), (10, 5, 25), (10, 0, 0)]), [(0, 5), (10, 5), (15, 15), (20, 0)]),
    ("a trace", profile.trace([12, 0, 4], every_s=60, scale=2.5), [(0, 30), (59, 30), (60, 0), (120, 10), (180, 0)]),
]  # fmt: skip


def rate_at(segments: tuple[Segment, ...], elapsed_s: float) -> float:
    """R(t); a border belongs to the next segment; 0.0 after the last."""
    for one in segments:
        if elapsed_s < one.duration_s:
            return one.from_per_s + (one.to_per_s - one.from_per_s) * elapsed_s / one.duration_s
        elapsed_s -= one.duration_s
    return 0.0


@pytest.mark.parametrize(("segments", "rates"), [row[1:] for row in RATES], ids=[row[0] for row in RATES])
def test_the_rate_at_a_time(segments: tuple[Segment, ...], rates: list[tuple[float, float]]) -> None:
    assert [rate_at(segments, at) for at, _ in rates] == pytest.approx([rate for _, rate in rates])


FORMULAS: list[tuple[str, tuple[Segment, ...], Callable[[int], float]]] = [
    ("ramp", profile.ramp(rps=100, duration_s=20, ramp_up_s=10), lambda n: (2 * 10 * n / 100) ** 0.5 if n <= 500 else n / 100 + 5),
    ("constant", profile.constant(rps=7, duration_s=100), lambda n: n / 7),
]


@pytest.mark.parametrize(("segments", "due_s"), [row[1:] for row in FORMULAS], ids=[row[0] for row in FORMULAS])
def test_the_due_times_are_those_of_the_inverse(segments: tuple[Segment, ...], due_s: Callable[[int], float]) -> None:
    times = list(pace(segments).arrivals())
    assert [due / 1e9 for due in times] == pytest.approx([due_s(n) for n in range(1, len(times) + 1)], abs=2e-9)


def test_what_does_not_divide_evenly_loses_no_hit() -> None:
    assert pace(profile.step(rps=100, duration_s=10, steps=3)).hits == 666
    assert pace(profile.step(rps=3, duration_s=1, steps=3)).due_ns(2) == 1_000_000_000
    assert pace(profile.trace([0.1] * 30, every_s=1, scale=3)).hits == 9
