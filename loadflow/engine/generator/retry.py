"""Per-step retry: which failures may be tried again, how often, and after how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from loadflow.engine.base.json_value import JsonMapping
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.reliability.backoff import Backoff
from loadflow.engine.reliability.classify import FailureClass, status_class

__all__ = ["RetryRule", "failure_class"]

TRANSIENT = frozenset({Outcome.DNS, Outcome.CONNECT, Outcome.TIMEOUT, Outcome.CLOSED, Outcome.DROPPED})
FLAKY = frozenset({Outcome.ASSERTION, Outcome.EXTRACT, Outcome.PROTOCOL})
DELAY_KEYS = {"base_delay": "base_s", "max_delay": "max_s", "backoff_factor": "factor", "jitter": "jitter"}


def failure_class(outcome: Outcome, status: int) -> FailureClass:
    """Transient: the way to the target or its load. Flaky: the answer was wrong. Permanent: asking again changes nothing."""
    if outcome is Outcome.STATUS:
        return status_class(status)
    if outcome in TRANSIENT or (outcome is Outcome.ASSERTION and status_class(status) == "transient"):
        return "transient"
    return "flaky" if outcome in FLAKY else "permanent"


@dataclass(frozen=True, slots=True)
class RetryRule:
    """Budgets per class of failure, used up separately."""

    transient: int = 5
    flaky: int = 2
    permanent: int = 0
    backoff: Backoff = field(default_factory=Backoff)

    @classmethod
    def of(cls, config: JsonMapping) -> RetryRule:
        delays = {DELAY_KEYS[key]: value for key, value in config.items() if key in DELAY_KEYS}
        return cls(**{key: value for key, value in config.items() if key not in DELAY_KEYS}, backoff=Backoff(**delays))

    def delay_s(self, used: Mapping[FailureClass, int], failure: FailureClass, rng: Random) -> float | None:
        """Seconds until the next attempt, or None when this class's budget is used up. `used`: retries made so far."""
        if used.get(failure, 0) >= getattr(self, failure):
            return None
        return self.backoff.delay_s(sum(used.values()) + 1, rng.random())
