"""How much of the generator's time functions of a scenario took: what runs there sends and reads nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from loadflow.engine.base.json_value import JsonMapping, JsonObject
from loadflow.engine.records.health import Health
from loadflow.engine.records.judge import Warning_

__all__ = ["InPython", "in_python_warnings"]

SLOW_MS = 10.0  # what keeps the loop for longer blocks all other users


class _Planned(Protocol):
    @property
    def plan(self) -> JsonMapping: ...


@dataclass(frozen=True, slots=True)
class InPython:
    """`share` of the busiest event loop's time, and the most in a second; `slowest`: the function that kept it longest, and for how long;
    `slow`: how often one kept it for over 10 ms."""

    share: float
    share_peak: float
    slowest: str
    slowest_ms: float
    slow: int

    @classmethod
    def of(cls, health: Sequence[Health], runs: Sequence[_Planned]) -> InPython | None:
        if not any(one.python for one in health):
            return None
        slowest = max(health, key=lambda one: one.slowest_ms)
        share = sum(one.python for one in health) / len(health)
        peak = max(one.python for one in health)
        return cls(round(share, 4), peak, _function(runs, slowest.slowest_step), slowest.slowest_ms, sum(one.slow for one in health))

    def to_json(self) -> JsonObject:
        return asdict(self)


def in_python_warnings(found: InPython | None) -> Iterator[Warning_]:
    if found is None or not found.slow:
        return
    times = "once" if found.slow == 1 else f"{found.slow:,} times"
    yield Warning_(
        "slow-function",
        f"Functions of the scenario kept the event loop for more than {SLOW_MS:g} ms, {times}; the longest was {found.slowest} with "
        f"{found.slowest_ms:,.1f} ms. All other users waited meanwhile.",
        "Do what takes long once, in on_start or in the module; calls that block (time.sleep, other clients) belong into tasks with "
        '@task(engine="locust").',
    )


def _function(runs: Sequence[_Planned], step: int) -> str:
    """As CLASS.METHOD."""
    steps = runs[0].plan.get("steps", []) if runs else []
    return str(steps[step].get("call", "")).rpartition(":")[2] if step < len(steps) else ""
