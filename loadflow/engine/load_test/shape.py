"""How many users there are over time: the load shapes and their `shape_config`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar

from pydantic import Field

from loadflow.engine.script.mistakes import Fault
from loadflow.engine.script.part import Int, Part, Positive, Seconds, Settled

__all__ = ["SHAPES", "Soak", "Spike", "Stage", "Stages"]

Users = Annotated[Int, Field(ge=0, le=10_000_000)]


class Stage(Part):
    """`users` for `duration` seconds; durations are increments, not points in time."""

    noun: ClassVar[str] = "a stage"
    duration: Settled[Positive]
    users: Settled[Users] = 0
    spawn_rate: Settled[Positive] = 1.0


class Stages(Part):
    """One stage after the other."""

    noun: ClassVar[str] = "the shape 'stages'"
    stages: Annotated[list[Stage], Field(min_length=1)]


class Spike(Part):
    """A baseline, a spike, the baseline again. `spike_users` None means as many as the baseline."""

    noun: ClassVar[str] = "the shape 'spike'"
    baseline_users: Settled[Users] = 0
    spike_users: Settled[Users] | None = None
    spawn_rate: Settled[Positive] = 10.0
    pre_seconds: Settled[Seconds] = 30.0
    spike_seconds: Settled[Seconds] = 30.0
    post_seconds: Settled[Seconds] = 30.0

    @classmethod
    def conflicts(cls, raw: dict[str, object]) -> Iterable[Fault]:
        return _lasts(raw, ("pre_seconds", "spike_seconds", "post_seconds"), 30)


class Soak(Part):
    """Ramp up, hold, cool down. `spawn_rate` None means a tenth of the users each second, at least 1."""

    noun: ClassVar[str] = "the shape 'soak'"
    users: Settled[Users] = 0
    spawn_rate: Settled[Positive] | None = None
    ramp_seconds: Settled[Seconds] = 60.0
    hold_seconds: Settled[Seconds] = 600.0
    cooldown_seconds: Settled[Seconds] = 60.0

    @classmethod
    def conflicts(cls, raw: dict[str, object]) -> Iterable[Fault]:
        return _lasts(raw, ("ramp_seconds", "hold_seconds", "cooldown_seconds"), 60)


SHAPES: dict[str, type[Stages] | type[Spike] | type[Soak]] = {"stages": Stages, "spike": Spike, "soak": Soak}


def _lasts(raw: dict[str, object], keys: tuple[str, ...], default: float) -> Iterable[Fault]:
    if all(raw.get(key, default) == 0 for key in keys):
        yield Fault((), "this shape lasts 0 seconds", f"make one of {', '.join(keys)} longer")
