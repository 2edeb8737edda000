"""A worse network than there is: latency, jitter and loss, added to every attempt before it is sent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

__all__ = ["NetworkConditioner"]


@dataclass(frozen=True, slots=True)
class NetworkConditioner:
    """What is done to each attempt of the steps that `name_filter` selects (a part of their name; None: all steps).

    A share of `loss_rate` (0 to 1) of the attempts is lost: a failure of the kind "dropped", nothing is sent, and the step's
    `retry` sees it as transient. The others wait `latency_ms`, more or less up to `jitter_ms`, as part of the measured time.
    Raises ValueError for numbers that make no sense.

    >>> NetworkConditioner(latency_ms=50, jitter_ms=20, loss_rate=0.01, name_filter="/checkout").selects("POST /checkout")
    True
    """

    latency_ms: float = 0.0
    jitter_ms: float = 0.0
    loss_rate: float = 0.0
    name_filter: str | None = None

    def __post_init__(self) -> None:
        for name, number in (("latency_ms", self.latency_ms), ("jitter_ms", self.jitter_ms)):
            if not 0 <= number < math.inf:
                raise ValueError(f"{name} must be 0 or more, and finite, not {number}")
        if not 0 <= self.loss_rate <= 1:
            raise ValueError(f"loss_rate is a share from 0 to 1, not {self.loss_rate}")

    def selects(self, text: str) -> bool:
        return self.name_filter is None or self.name_filter in text

    def drops(self, rng: Random) -> bool:
        return self.loss_rate > 0 and rng.random() < self.loss_rate

    def delay_s(self, rng: Random) -> float:
        """Uniform in latency ± jitter, and never below 0."""
        jitter_ms = rng.uniform(-self.jitter_ms, self.jitter_ms) if self.jitter_ms else 0.0
        return max(0.0, self.latency_ms + jitter_ms) / 1e3
