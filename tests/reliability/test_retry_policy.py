"""Retries: budgets, delays, and what must never be retried."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadflow import AdaptiveRetryPolicy, RetryDecision, classify_error, run_with_retry
from loadflow.engine.generator.retry import RetryRule
from loadflow.engine.reliability.backoff import Backoff

positive = st.floats(0, 1e6)
delays = st.builds(Backoff, positive, positive, st.floats(0, 1e3), st.floats(0, 3))


def failing(*errors: BaseException | None) -> Callable[[], int]:
    """Raises them one after the other, call by call; None returns the number of calls."""
    calls = 0

    def call() -> int:
        nonlocal calls
        calls += 1
        error = errors[min(calls, len(errors)) - 1]
        if error is not None:
            raise error
        return calls

    return call


def test_the_documented_parameters_and_defaults() -> None:
    defaults = {name: one.default for name, one in inspect.signature(AdaptiveRetryPolicy).parameters.items()}
    assert defaults == {
        "transient_budget": 5,
        "flaky_budget": 2,
        "permanent_budget": 0,
        "base_delay": 0.1,
        "max_delay": 5.0,
        "backoff_factor": 2.0,
        "jitter": 0.25,
        "classifier": classify_error,
    }


@given(delays, st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_no_delay_is_above_the_cap_or_below_zero(backoff: Backoff, retry: int, draw: float) -> None:
    assert 0 <= backoff.delay_s(retry, draw) <= backoff.max_s


@given(st.integers(1, 30), st.floats(0, 1, exclude_max=True))
def test_jitter_takes_away_at_most_its_share_also_at_the_cap(retry: int, draw: float) -> None:
    backoff, plain = Backoff(), Backoff(jitter=0)
    assert plain.delay_s(retry, 0.0) * 0.75 <= backoff.delay_s(retry, draw) <= plain.delay_s(retry, 0.0)


@given(positive, positive, st.floats(1, 10), st.floats(0, 1), st.integers(0, 20))
def test_a_step_waits_as_long_as_a_callable(base: float, most: float, factor: float, jitter: float, before: int) -> None:
    rule = RetryRule.of({"transient": 99, "base_delay": base, "max_delay": most, "backoff_factor": factor, "jitter": jitter})
    draw = Random(3).random()
    assert rule.delay_s({"transient": before}, "transient", Random(3)) == Backoff(base, most, factor, jitter).delay_s(before + 1, draw)


@given(
    st.lists(st.sampled_from(["transient", "flaky", "permanent", "strange"]), max_size=40),
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 9),
)
def test_each_class_has_its_own_budget(kinds: list[str], transient: int, flaky: int, permanent: int) -> None:
    policy = AdaptiveRetryPolicy(transient, flaky, permanent, classifier=str)
    retried: Counter[str] = Counter()
    for attempt, kind in enumerate(kinds, 1):
        decision = policy.decide(Exception(kind), attempt)
        assert (decision.attempt, decision.classification) == (attempt, kind)
        assert decision.will_retry is (retried[kind] < policy.budget_for(kind))
        assert decision.will_retry or decision.delay_seconds == 0
        retried[kind] += decision.will_retry
    for kind, budget in {"transient": transient, "flaky": flaky, "permanent": permanent, "strange": 0}.items():
        assert retried[kind] == min(kinds.count(kind), budget)
    policy.reset()
    assert policy.decide(Exception("flaky"), 1).will_retry is (flaky > 0)


def test_attempts_of_all_classes_count_for_the_delay() -> None:
    policy = AdaptiveRetryPolicy(jitter=0)
    kinds: list[Exception] = [TimeoutError(), AssertionError(), TimeoutError()]
    assert [policy.decide(error, attempt).delay_seconds for attempt, error in enumerate(kinds, 1)] == [0.1, 0.2, 0.4]


def test_the_value_comes_back_after_the_waits() -> None:
    slept: list[float] = []
    policy = AdaptiveRetryPolicy(jitter=0)
    assert run_with_retry(failing(TimeoutError(), ConnectionResetError(), None), policy, slept.append) == 3
    assert slept == [0.1, 0.2]


def test_the_last_error_is_raised_as_it_is() -> None:
    last = TimeoutError("the last")
    calls = failing(*[TimeoutError()] * 5, last)
    with pytest.raises(TimeoutError) as caught:
        run_with_retry(calls, sleeper=lambda seconds: None)
    assert caught.value is last


def test_a_permanent_error_is_raised_at_once() -> None:
    with pytest.raises(KeyError):
        run_with_retry(failing(KeyError("x"), None), sleeper=lambda seconds: pytest.fail("slept"))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(0), GeneratorExit(), asyncio.CancelledError()], ids=repr)
def test_what_is_no_exception_is_never_swallowed(error: BaseException) -> None:
    policy = AdaptiveRetryPolicy(permanent_budget=99, classifier=lambda error: "transient")
    with pytest.raises(type(error)):
        run_with_retry(failing(error, None), policy, lambda seconds: None)
    assert policy.decide(error, 1) == RetryDecision(1, "transient", 0.0, False)


def test_an_own_classifier_decides() -> None:
    policy = AdaptiveRetryPolicy(classifier=lambda error: "transient" if isinstance(error, KeyError) else "permanent")
    assert run_with_retry(failing(KeyError(), None), policy, lambda seconds: None) == 2


def test_an_own_decide_is_asked() -> None:
    class Once(AdaptiveRetryPolicy):
        def decide(self, error: BaseException, attempt: int) -> RetryDecision:
            return RetryDecision(attempt, "own", 7.0, attempt == 1)

    slept: list[float] = []
    with pytest.raises(KeyError):
        run_with_retry(failing(KeyError()), Once(), slept.append)
    assert slept == [7.0]


def test_a_run_inside_a_run_leaves_the_outer_budget_alone() -> None:
    policy = AdaptiveRetryPolicy(transient_budget=1)

    def inner_fails_twice() -> int:
        with pytest.raises(TimeoutError):
            run_with_retry(failing(TimeoutError()), policy, lambda seconds: None)
        return outer()

    outer = failing(TimeoutError(), None)
    assert run_with_retry(inner_fails_twice, policy, lambda seconds: None) == 2


def test_threads_that_share_a_policy_have_whole_budgets_each() -> None:
    policy = AdaptiveRetryPolicy(transient_budget=5)
    together = threading.Barrier(8)
    attempts: list[int] = []

    def run() -> None:
        calls = 0

        def call() -> None:
            nonlocal calls
            calls += 1
            raise TimeoutError

        together.wait()
        for _ in range(50):
            calls = 0
            with pytest.raises(TimeoutError):
                run_with_retry(call, policy, lambda seconds: None)
            attempts.append(calls)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert attempts == [6] * 400


@pytest.mark.parametrize(
    "wrong", [{"transient_budget": -1}, {"base_delay": -0.1}, {"max_delay": float("nan")}, {"jitter": float("inf")}], ids=repr
)
def test_numbers_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        AdaptiveRetryPolicy(**wrong)
