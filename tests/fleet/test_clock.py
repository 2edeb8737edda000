"""Two clocks compared by questions and answers: the quickest counts, times never jump, and drift is told."""

from __future__ import annotations

import pytest

from loadflow.engine.fleet.clock import WINDOW, ClockComparison

MS = 1_000_000
AHEAD_NS = 5_000_000_000_000


def ask(clock: ClockComparison, at_ms: float, *, there_ms: float = 1.0, back_ms: float = 1.0, drift_ppm: float = 0.0) -> None:
    """One question at `at_ms` of our clock; the master's clock is AHEAD_NS ahead, and gains `drift_ppm`."""
    sent, heard, now = (round(at * MS) for at in (at_ms, at_ms + there_ms, at_ms + there_ms + back_ms))
    clock.heard(sent, AHEAD_NS + round(heard * (1 + drift_ppm / 1e6)), now)


def test_the_quickest_answer_of_the_first_eight_counts_and_says_how_wrong_it_may_be() -> None:
    clock = ClockComparison()
    for number, back_ms in enumerate([40, 9, 3, 90, 5, 7, 3.5, 60]):
        ask(clock, number * 100, back_ms=back_ms)
    assert abs(clock.ahead_ns - AHEAD_NS) == 1 * MS  # (3 - 1) / 2: what lies between the two ways
    assert clock.error_s == pytest.approx(0.002)


def test_a_quicker_answer_while_the_load_runs_does_not_move_the_times_of_hits() -> None:
    clock = ClockComparison()
    for number in range(WINDOW):
        ask(clock, number, back_ms=9)
    before = clock.ahead_ns
    ask(clock, 60_000, there_ms=0.1, back_ms=0.1)
    assert clock.ahead_ns == before
    assert clock.error_s == pytest.approx(0.005)  # the bound of the start held


@pytest.mark.parametrize("drift_ppm", [50, -50])
def test_the_error_grows_by_the_drift_of_a_long_run(drift_ppm: float) -> None:
    """50 ppm are 0.18 s in an hour, whichever clock is the faster one; one slow answer in between is not taken for drift."""
    clock = ClockComparison()
    for number in range(WINDOW):
        ask(clock, number)
    assert clock.error_s == pytest.approx(0.001, abs=1e-5)
    for at_ms in range(5_000, 3_600_000, 5_000):
        ask(clock, at_ms, back_ms=800 if at_ms % 15_000 == 0 else 1, drift_ppm=drift_ppm)
    assert clock.error_s == pytest.approx(0.18, abs=0.005)


def test_without_an_answer_nothing_is_known() -> None:
    assert (ClockComparison().ahead_ns, ClockComparison().error_s) == (0, 0.0)
