"""A rate limit over all users of a process: each use reserves the next free slot and waits for it.

The generic cell rate algorithm (ITU-T I.371): no tokens are counted, so users that wait at the same time wait for different
slots, and the rate holds exactly, whatever their number.
"""

from __future__ import annotations

from loadflow.engine.plan.step_json import StepJson

__all__ = ["Throttle", "throttles_of"]


class Throttle:
    """At most `rate_per_s`, after at most `burst` at once."""

    def __init__(self, rate_per_s: float, burst: float = 1) -> None:
        self.interval_ns = 1e9 / rate_per_s
        self.burst = burst
        self._next_ns: float | None = None

    def reserve(self, now_ns: int) -> float:
        """Seconds to wait before going; the slot is taken."""
        slack_ns = (self.burst - 1) * self.interval_ns
        if self._next_ns is None or self._next_ns < now_ns - slack_ns:
            self._next_ns = now_ns - slack_ns
        wait_ns = self._next_ns - now_ns
        self._next_ns += self.interval_ns
        return max(0.0, wait_ns / 1e9)


def throttles_of(steps: tuple[StepJson, ...]) -> list[Throttle | None]:
    """One throttle per step; steps with the same `key` share one, with the rate of the first.

    Without a `key` the step's name is the key; without a name the step has a throttle of its own. `burst` is 1 unless given,
    so that the rate holds from the first hit on.
    """
    shared: dict[str, Throttle] = {}
    result: list[Throttle | None] = []
    for position, step in enumerate(steps):
        config = step.get("throttle")
        if config is None:
            result.append(None)
            continue
        key = str(config.get("key") or step.get("name") or f"step {position}")
        if key not in shared:
            shared[key] = Throttle(config["rps"], config.get("burst") or 1)
        result.append(shared[key])
    return result
