"""From the `rate` of LD_start_test to a pace: the parent's side."""

from __future__ import annotations

import secrets
from typing import Any

from loadflow.engine.load_test.rate import Profile, Ramp, Spiked, Staged, Steady, Steps, Traced
from loadflow.engine.plan import profile
from loadflow.engine.plan.pace import Pace, Segment, cut, peak_per_s
from loadflow.errors import CommandError, Mistake

__all__ = ["pace_of", "users_of"]

# Default of max_in_flight: the passes of a fifth of a second, within bounds, as in LoadPilot.
IN_FLIGHT_S = 0.2
IN_FLIGHT = (50, 2_000)


def pace_of(test: Any, root: str, *, test_time_given: bool, cap_per_s: float | None, seed: int | None = None) -> Pace | None:
    """The pace of a settled `StartTest`; None without a rate. `seed`: of random gaps, where the test has none; None: a new one.

    Raises CommandError where no pass would ever be due, or more per second than `cap_per_s`, which the target may be asked at most.
    """
    rate = test.rate
    if rate is None:
        return None
    length_s = float(test.most_s)
    if isinstance(rate, Profile):
        segments, spacing = _segments(rate, length_s), rate.spacing
        segments = cut(segments, length_s) if test_time_given else segments
    else:
        segments, spacing = profile.constant(rps=float(rate), duration_s=length_s), "even"
    peak = peak_per_s(segments)
    pace = Pace(
        segments,
        "poisson" if spacing == "poisson" else "even",
        _seed(seed if test.seed is None else test.seed) if spacing == "poisson" else None,
        test.max_in_flight or _users(test) or max(_usual(peak), test.processes),
        None if test.max_lateness is None else float(test.max_lateness),
    )
    if cap_per_s is not None and peak > cap_per_s:
        text = f"reaches {peak:g}/s, and the target may be asked {cap_per_s:g} times a second at most"
        raise CommandError([Mistake(f"{root}.rate", text, "make it lower, or change the rule of the target")])
    if next(pace.arrivals(), None) is None:
        text = f"no pass is due within the {pace.duration_s:g} s of this rate"
        raise CommandError([Mistake(f"{root}.rate", text, "make it higher or longer")])
    return pace


def users_of(test: object, pace: Pace) -> int:
    """How many users take turns at a pace."""
    return _users(test) or pace.max_in_flight


def _users(test: Any) -> int | None:
    return int(test.user_count) if "user_count" in test.model_fields_set else None


def _usual(highest_per_s: float) -> int:
    low, high = IN_FLIGHT
    return min(max(low, round(highest_per_s * IN_FLIGHT_S)), high)


def _seed(seed: int | None) -> int:
    """Every process makes the same gaps, so they need one seed; it stands in the plan, where it can be read and used again."""
    return secrets.randbits(32) if seed is None else seed


def _segments(rate: Profile, length_s: float) -> tuple[Segment, ...]:
    """`length_s` is the length of a load whose rate has none of its own."""
    own: Any = rate
    match rate:
        case Staged():
            parts = ((one.duration, one.rps if one.from_rps is None else one.from_rps, one.rps) for one in own.stages)
            return profile.stages(parts)
        case Traced():
            return profile.trace(own.rps, every_s=own.every, scale=own.scale)
    duration_s = own.duration or length_s
    match rate:
        case Ramp():
            return profile.ramp(rps=own.rps, duration_s=duration_s, ramp_up_s=own.ramp_up)
        case Steps():
            return profile.step(rps=own.rps, duration_s=duration_s, steps=own.steps)
        case Spiked():
            return profile.spike(rps=own.rps, duration_s=duration_s)
        case Steady():
            return profile.constant(rps=own.rps, duration_s=duration_s)
    raise AssertionError(rate)
