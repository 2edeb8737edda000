"""Per-step retry: which failures may be tried again, how often, and after how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from loadflow.engine.records.outcome import Outcome

__all__ = ["RetryRule", "failure_class"]

FailureClass = Literal["transient", "flaky", "permanent"]

# RFC 9110 section 15: these say "later", so the same request may well succeed
TRANSIENT_STATUS = frozenset({408, 425, 429, 502, 503, 504})
TRANSIENT = frozenset({Outcome.DNS, Outcome.CONNECT, Outcome.TIMEOUT, Outcome.CLOSED, Outcome.DROPPED})
FLAKY = frozenset({Outcome.ASSERTION, Outcome.EXTRACT, Outcome.PROTOCOL})


def failure_class(outcome: Outcome, status: int) -> FailureClass:
    """Transient: the way to the target or its load. Flaky: the answer was wrong. Permanent: asking again changes nothing."""
    if outcome in TRANSIENT or (outcome in (Outcome.STATUS, Outcome.ASSERTION) and status in TRANSIENT_STATUS):
        return "transient"
    if outcome in FLAKY or (outcome is Outcome.STATUS and status >= 500):
        return "flaky"
    return "permanent"


@dataclass(frozen=True, slots=True)
class RetryRule:
    """Budgets per class of failure, used up separately; delays grow by `backoff_factor` and never pass `max_delay_s`."""

    transient: int = 5
    flaky: int = 2
    permanent: int = 0
    base_delay_s: float = 0.1
    max_delay_s: float = 5.0
    backoff_factor: float = 2.0
    jitter: float = 0.25  # share of the delay that is drawn at random, downwards, so that the cap holds

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> RetryRule:
        seconds = {"base_delay": "base_delay_s", "max_delay": "max_delay_s"}
        return cls(**{seconds.get(key, key): value for key, value in config.items()})

    def delay_s(self, used: Mapping[FailureClass, int], failure: FailureClass, rng: Random) -> float | None:
        """Seconds until the next attempt, or None when this class's budget is used up. `used`: retries made so far."""
        if used.get(failure, 0) >= getattr(self, failure):
            return None
        attempt = sum(used.values())
        delay = min(self.max_delay_s, self.base_delay_s * self.backoff_factor**attempt)
        return delay * (1 - min(1.0, self.jitter) * rng.random()) if self.jitter > 0 else delay
