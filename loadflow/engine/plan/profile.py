"""Rates over time by name, each as the segments of a pace. The first four are LoadPilot's, with its names and formulas.

All rates are hits per second. P is `rps`, D is `duration_s`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from loadflow.engine.plan.pace import Segment, exactly

__all__ = ["constant", "ramp", "spike", "stages", "step", "trace"]

SPIKE_BASE = Fraction(1, 5)  # of the spike's rate


def constant(*, rps: float, duration_s: float) -> tuple[Segment, ...]:
    """P all the time."""
    return (Segment(duration_s, rps, rps),)


def ramp(*, rps: float, duration_s: float, ramp_up_s: float) -> tuple[Segment, ...]:
    """From 0 to P within `ramp_up_s`, then P for D; both together are the load's length.

    >>> ramp(rps=100, duration_s=60, ramp_up_s=10)
    (Segment(duration_s=10, from_per_s=0.0, to_per_s=100), Segment(duration_s=60, from_per_s=100, to_per_s=100))
    """
    rising = (Segment(ramp_up_s, 0.0, rps),) if ramp_up_s > 0 else ()
    return (*rising, *constant(rps=rps, duration_s=duration_s))


def step(*, rps: float, duration_s: float, steps: int) -> tuple[Segment, ...]:
    """P/S, 2P/S, … P, each for D/S."""
    heights = (float(exactly(rps) * (k + 1) / steps) for k in range(steps))
    return tuple(Segment(float(exactly(duration_s) / steps), height, height) for height in heights)


def spike(*, rps: float, duration_s: float) -> tuple[Segment, ...]:
    """A fifth of P (at least 1/s, and never more than P), P in the middle third, a fifth of P again."""
    base = min(rps, max(1.0, float(SPIKE_BASE * exactly(rps))))
    return tuple(Segment(float(exactly(duration_s) / 3), height, height) for height in (base, rps, base))


def stages(parts: Iterable[tuple[float, float, float]]) -> tuple[Segment, ...]:
    """(seconds, rate at the begin, rate at the end), one after the other."""
    return tuple(Segment(*part) for part in parts)


def trace(rates: Sequence[float], *, every_s: float, scale: float) -> tuple[Segment, ...]:
    """Each rate, times `scale`, for `every_s`: a load that was seen, again."""
    heights = (float(exactly(rate) * exactly(scale)) for rate in rates)
    return tuple(Segment(every_s, height, height) for height in heights)
