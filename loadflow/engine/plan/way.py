"""A user's way through the steps of a plan: `on_start` once, then passes, `on_stop` once. Both engines are given it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loadflow.engine.plan.step_json import StepJson

__all__ = ["Unit", "Way", "fails_pass", "way_of"]


@dataclass(frozen=True, slots=True)
class Unit:
    """What one pass does: the steps `first` to `end` (which is not one of them). `weight`: its share of picks."""

    first: int
    end: int
    weight: int = 1

    @property
    def steps(self) -> range:
        return range(self.first, self.end)


@dataclass(frozen=True, slots=True)
class Way:
    """`start` and `stop` hold positions of steps. In sequence there is one unit, else one for each step or group that can be picked."""

    start: range
    units: tuple[Unit, ...]
    stop: range

    @property
    def steps_a_pass(self) -> float:
        """The mean number of steps of a pass."""
        weights = sum(unit.weight for unit in self.units)
        return sum(unit.weight * len(unit.steps) for unit in self.units) / weights if weights else 0.0


def way_of(mode: str, steps: Sequence[StepJson]) -> Way:
    """Steps of `on_start` stand first, those of `on_stop` last, as `phase` says; a step that `follows` is of the unit before it.

    >>> way_of("weighted", [{"phase": "on_start"}, {"weight": 3}, {"weight": 1}, {"follows": True}])
    Way(start=range(0, 1), units=(Unit(first=1, end=2, weight=3), Unit(first=2, end=4, weight=1)), stop=range(4, 4))
    """
    begin = sum(step.get("phase") == "on_start" for step in steps)
    end = len(steps) - sum(step.get("phase") == "on_stop" for step in steps)
    if mode != "weighted":
        return Way(range(begin), (Unit(begin, end),), range(end, len(steps)))
    firsts = [position for position in range(begin, end) if not steps[position].get("follows")]
    units = (Unit(first, after, steps[first].get("weight", 1)) for first, after in zip(firsts, [*firsts[1:], end], strict=True))
    return Way(range(begin), tuple(units), range(end, len(steps)))


def fails_pass(step: Mapping[str, object]) -> str:
    """What a failure of the step does: "continue", "stop", or "stop_if_lacking", where the step itself says nothing too."""
    written = step.get("on_failure")
    return str(written) if written is not None else "stop" if step.get("phase") == "on_start" else "continue"
