"""Load shapes: how many users there should be at a time, as a list of stages and one pure question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Stage", "soak", "spike", "stage_at", "total_s"]


@dataclass(frozen=True, slots=True)
class Stage:
    """For `duration_s` (None: without end) head for `users`, starting or ending `spawn_rate` users per second."""

    duration_s: float | None
    users: int
    spawn_rate: float


def stage_at(stages: Sequence[Stage], elapsed_s: float) -> Stage | None:
    """The stage that rules `elapsed_s` seconds after the start; a border belongs to the next stage; None after the last.

    >>> stage_at([Stage(10, 5, 1), Stage(10, 50, 5)], 10).users
    50
    """
    end = 0.0
    for stage in stages:
        if stage.duration_s is None:
            return stage
        end += stage.duration_s
        if elapsed_s < end:
            return stage
    return None


def total_s(stages: Sequence[Stage]) -> float | None:
    """The length of all stages together; None when one has no end."""
    total = 0.0
    for stage in stages:
        if stage.duration_s is None:
            return None
        total += stage.duration_s
    return total


def spike(
    *, baseline_users: int, spike_users: int, spawn_rate: float, pre_seconds: float, spike_seconds: float, post_seconds: float
) -> tuple[Stage, ...]:
    """A steady load, a burst of users, the steady load again."""
    return (
        Stage(pre_seconds, baseline_users, spawn_rate),
        Stage(spike_seconds, spike_users, spawn_rate),
        Stage(post_seconds, baseline_users, spawn_rate),
    )


def soak(*, users: int, spawn_rate: float, ramp_seconds: float, hold_seconds: float, cooldown_seconds: float) -> tuple[Stage, ...]:
    """Up to `users`, hold, down to none.

    Going down takes the rate that is needed to be at none when the cooldown is over, if that is more than `spawn_rate`.
    """
    down = max(spawn_rate, users / cooldown_seconds) if cooldown_seconds > 0 else spawn_rate
    return (Stage(ramp_seconds, users, spawn_rate), Stage(hold_seconds, users, spawn_rate), Stage(cooldown_seconds, 0, down))
