"""The network conditioner at work: between the step loop and the client, for whatever protocol."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random

from loadflow.engine.plan.conditioner import NetworkConditioner
from loadflow.engine.plan.step_json import StepJson
from loadflow.engine.protocols.running.seam import HitFailure, PreparedStep
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.resolve.scope import Scope
from loadflow.engine.resolve.template import Compiler, text_of

__all__ = ["Network", "is_conditioned"]


class Network:
    """One process's conditions, with random numbers of their own for each user, so that a plan's other draws stay as they are."""

    def __init__(
        self, conditioner: NetworkConditioner, sleep: Callable[[float], object], clock_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._conditioner = conditioner
        self._sleep = sleep
        self._clock_ns = clock_ns
        self._rngs: dict[int, Random] = {}
        self.treated = 0

    def pass_through(self, prepared: PreparedStep, scope: Scope, user: int) -> None:
        """Wait as long as the request would be under way; raises HitFailure when it is lost."""
        if prepared.name is None and not self._conditioner.selects(prepared.render_name(scope)):
            return
        self.treated += 1
        rng = self._rngs.get(user)
        if rng is None:
            seed = scope.data.seed
            rng = self._rngs[user] = Random() if seed is None else Random(f"network {seed} {scope.data.shard} {user}")
        if self._conditioner.drops(rng):
            raise HitFailure(Outcome.DROPPED, "dropped by the network conditioner; nothing was sent")
        # not one sleep: gevent's timers count from the time its loop last looked at the clock, so they may be early
        due_ns = self._clock_ns() + round(self._conditioner.delay_s(rng) * 1e9)
        while (left_ns := due_ns - self._clock_ns()) > 0:
            self._sleep(left_ns / 1e9)


def is_conditioned(conditioner: NetworkConditioner, config: StepJson, prepared: PreparedStep, compiler: Compiler) -> bool:
    """Whether hits of a step may be selected. A name decides; without one whom it asks, as far as that is known.

    True also for a name with placeholders that differ per hit: then each hit is asked.
    """
    if config.get("name") is not None:
        name = compiler(config["name"])
        return not name.is_static or conditioner.selects(text_of(name.value))
    return conditioner.selects(prepared.place)
