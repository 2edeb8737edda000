"""Retry of any callable: how often by the class of its failure, how long to wait before."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from loadflow.engine.reliability.backoff import Backoff
from loadflow.engine.reliability.classify import classify_error

__all__ = ["AdaptiveRetryPolicy", "RetryDecision", "run_with_retry"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """What to do about one failure. `attempt` is the one that failed, counted from 1; the delay is 0 without a retry."""

    attempt: int
    classification: str
    delay_seconds: float
    will_retry: bool


class AdaptiveRetryPolicy:
    """Budgets of retries per class of failure, used up separately, with delays that grow and are jittered below `max_delay`.

    `classifier` gives "transient", "flaky" or "permanent" for an exception; any other word has a budget of 0. `jitter` is the
    share of a delay drawn at random, downwards, so no delay is ever above `max_delay`. Raises ValueError for numbers that make
    no sense.

    A policy may be shared: what is used up is counted per thread, and per `run_with_retry`.

    >>> policy = AdaptiveRetryPolicy(transient_budget=1, jitter=0)
    >>> policy.decide(ConnectionResetError(), 1)
    RetryDecision(attempt=1, classification='transient', delay_seconds=0.1, will_retry=True)
    >>> policy.decide(ConnectionResetError(), 2).will_retry
    False
    """

    def __init__(
        self,
        transient_budget: int = 5,
        flaky_budget: int = 2,
        permanent_budget: int = 0,
        base_delay: float = 0.1,
        max_delay: float = 5.0,
        backoff_factor: float = 2.0,
        jitter: float = 0.25,
        classifier: Callable[[BaseException], str] = classify_error,
    ) -> None:
        numbers = {
            "transient_budget": transient_budget,
            "flaky_budget": flaky_budget,
            "permanent_budget": permanent_budget,
            "base_delay": base_delay,
            "max_delay": max_delay,
            "backoff_factor": backoff_factor,
            "jitter": jitter,
        }
        for name, number in numbers.items():
            if not 0 <= number < float("inf"):
                raise ValueError(f"{name} must be 0 or more, and finite, not {number}")
        self.transient_budget = transient_budget
        self.flaky_budget = flaky_budget
        self.permanent_budget = permanent_budget
        self.base_delay = base_delay
        self.max_delay = max_delay
        self.backoff_factor = backoff_factor
        self.jitter = jitter
        self.classifier = classifier
        self._counts = _Counts()

    def budget_for(self, classification: str) -> int:
        """Retries that failures of this class have in all; 0 for an unknown class."""
        budgets = {"transient": self.transient_budget, "flaky": self.flaky_budget, "permanent": self.permanent_budget}
        return budgets.get(classification, 0)

    def reset(self) -> None:
        """Give this thread its whole budgets again."""
        self._counts.used = {}

    def decide(self, error: BaseException, attempt: int) -> RetryDecision:
        """Whether to try again after attempt number `attempt` (from 1, all classes together) ended with `error`.

        A yes uses up one retry of the error's class. What is not an Exception (Ctrl-C, an exit, a cancel) is never retried.
        """
        classification = self.classifier(error)
        used = self._counts.used
        if not isinstance(error, Exception) or used.get(classification, 0) >= self.budget_for(classification):
            return RetryDecision(attempt, classification, 0.0, False)
        used[classification] = used.get(classification, 0) + 1
        backoff = Backoff(self.base_delay, self.max_delay, self.backoff_factor, self.jitter)
        return RetryDecision(attempt, classification, backoff.delay_s(max(1, attempt), random.random()), True)

    @contextmanager
    def fresh(self) -> Iterator[None]:
        """Inside the block this thread has whole budgets; after it, those from before."""
        outer = self._counts.used
        self._counts.used = {}
        try:
            yield
        finally:
            self._counts.used = outer


class _Counts(threading.local):
    """Retries used up by class, of one thread."""

    def __init__(self) -> None:
        self.used: dict[str, int] = {}


def run_with_retry(fn: Callable[[], T], policy: AdaptiveRetryPolicy | None = None, sleeper: Callable[[float], object] = time.sleep) -> T:
    """Call `fn` until it returns, or the policy (None: one with the defaults) says no: then its last error is raised.

    Each call has its own full budgets, even if calls share the policy. A BaseException that is not an Exception is raised at once.

    >>> answers = iter([ConnectionResetError(), "pong"])
    >>> def ping():
    ...     answer = next(answers)
    ...     if isinstance(answer, Exception):
    ...         raise answer
    ...     return answer
    >>> run_with_retry(ping, AdaptiveRetryPolicy(base_delay=0))
    'pong'
    """
    policy = AdaptiveRetryPolicy() if policy is None else policy
    attempt = 0
    with policy.fresh():
        while True:
            attempt += 1
            try:
                return fn()
            except Exception as error:
                decision = policy.decide(error, attempt)
                if not decision.will_retry:
                    raise
            sleeper(decision.delay_seconds)
