"""Load shapes: how many users there should be at a time, as a list of stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Stage", "soak", "spike", "stages_after", "total_s", "users_at"]


AT_ONCE_PER_S = 1000.0  # users per second and user: all of them within a millisecond
JUMP_S = 0.01


@dataclass(frozen=True, slots=True)
class Stage:
    """For `duration_s` (None: without end) head for `users`, starting or ending `spawn_rate` users per second."""

    duration_s: float | None
    users: int
    spawn_rate: float


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


def users_at(stages: Sequence[Stage], at_s: float) -> float:
    """How many users there are by then, when each stage heads for its number from the one before.

    >>> users_at([Stage(10, 100, 5), Stage(10, 0, 5)], 12)
    40.0
    """
    users = 0.0
    for stage in stages:
        time_s = at_s if stage.duration_s is None else min(at_s, stage.duration_s)
        step = stage.spawn_rate * time_s
        users = min(float(stage.users), users + step) if stage.users >= users else max(float(stage.users), users - step)
        if stage.duration_s is None or at_s < stage.duration_s:
            return users
        at_s -= stage.duration_s
    return users


def stages_after(stages: Sequence[Stage], from_s: float) -> tuple[Stage, ...]:
    """What is left of the stages `from_s` seconds after their start, which begins with all the users that there are then.

    >>> stages_after([Stage(60, 100, 5)], 10)
    (Stage(duration_s=0.01, users=50, spawn_rate=50000.0), Stage(duration_s=49.99, users=100, spawn_rate=5))
    """
    there = round(users_at(stages, from_s))
    left: list[Stage] = []
    for stage in stages:
        if stage.duration_s is not None and from_s >= stage.duration_s:
            from_s -= stage.duration_s
            continue
        rest_s = None if stage.duration_s is None else stage.duration_s - from_s
        from_s = 0
        if left or not there:
            left.append(Stage(rest_s, stage.users, stage.spawn_rate))
        elif there == stage.users:
            left.append(Stage(rest_s, there, there * AT_ONCE_PER_S))
        else:
            left.append(Stage(JUMP_S, there, there * AT_ONCE_PER_S))
            left.append(Stage(None if rest_s is None else max(0.0, rest_s - JUMP_S), stage.users, stage.spawn_rate))
    return tuple(left) or (Stage(0.0, stages[-1].users, stages[-1].spawn_rate),)
