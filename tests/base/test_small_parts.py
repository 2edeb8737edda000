"""The small parts of the load engine, each by a table: throttle, retry, conditions, picks, shares, messages."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadflow.engine.base.values import truthy
from loadflow.engine.generator.retry import RetryRule, failure_class
from loadflow.engine.generator.throttle import Throttle, throttles_of
from loadflow.engine.plan.pick import weighted_order
from loadflow.engine.plan.plan import Plan, Shard, share
from loadflow.engine.plan.shape import Stage
from loadflow.engine.process.messages import TEXT_LIMIT, Done, Failed, Flush, Ready, Tick, decode, encode
from loadflow.engine.protocols.running.condition import compile_condition
from loadflow.engine.records.health import Health
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.passes import Passes
from loadflow.engine.resolve.data import Data
from loadflow.engine.resolve.scope import Scope
from loadflow.engine.resolve.template import Compiled, compile_value

SECOND_NS = 1_000_000_000


# -- throttle


def test_users_that_ask_at_once_wait_for_slots_one_after_the_other() -> None:
    throttle = Throttle(10)
    assert [throttle.reserve(0) for _ in range(4)] == pytest.approx([0, 0.1, 0.2, 0.3])


def test_a_burst_goes_at_once_and_the_rate_holds_after_it() -> None:
    throttle = Throttle(10, burst=3)
    assert [throttle.reserve(0) for _ in range(5)] == pytest.approx([0, 0, 0, 0.1, 0.2])


def test_what_was_not_used_is_kept_up_to_the_burst() -> None:
    throttle = Throttle(10, burst=2)
    throttle.reserve(0)
    assert [throttle.reserve(60 * SECOND_NS) for _ in range(3)] == pytest.approx([0, 0, 0.1])


@given(st.floats(0.5, 1000), st.floats(1, 20), st.lists(st.integers(0, 3 * SECOND_NS), min_size=1, max_size=80))
def test_in_no_second_go_more_than_the_rate_and_the_burst(rate: float, burst: float, asked: list[int]) -> None:
    throttle = Throttle(rate, burst)
    gone = sorted(now / 1e9 + throttle.reserve(now) for now in sorted(asked))
    for position, start in enumerate(gone):
        within = sum(one < start + 1 for one in gone[position:])
        assert within <= rate + burst + 1e-6 * len(gone) + 1


def test_steps_with_one_key_share_a_throttle() -> None:
    steps = (
        {"throttle": {"rps": 5, "key": "a"}},
        {"throttle": {"rps": 5, "key": "a"}},
        {"throttle": {"rps": 5}},
        {"throttle": {"rps": 5}},
        {},
    )
    first, second, third, fourth, none = throttles_of(steps)
    assert first is second
    assert third is not fourth
    assert none is None


# -- retry

CLASSES = [
    (Outcome.CONNECT, 0, "transient"),
    (Outcome.TIMEOUT, 0, "transient"),
    (Outcome.DROPPED, 0, "transient"),
    (Outcome.STATUS, 503, "transient"),
    (Outcome.STATUS, 429, "transient"),
    (Outcome.STATUS, 500, "flaky"),
    (Outcome.STATUS, 404, "permanent"),
    (Outcome.EXTRACT, 200, "flaky"),
    (Outcome.TLS, 0, "permanent"),
    (Outcome.TEMPLATE, 0, "permanent"),
    (Outcome.FORBIDDEN, 0, "permanent"),
]


@pytest.mark.parametrize(("outcome", "status", "expected"), CLASSES)
def test_the_class_of_a_failure(outcome: Outcome, status: int, expected: str) -> None:
    assert failure_class(outcome, status) == expected


def test_an_assertion_is_flaky_unless_the_status_is_transient() -> None:
    assert failure_class(Outcome.ASSERTION, 200) == "flaky"
    assert failure_class(Outcome.ASSERTION, 503) == "transient"


def test_budgets_are_used_up_separately_and_delays_count_all_retries() -> None:
    rule = RetryRule.of({"transient": 2, "flaky": 1, "base_delay": 1, "max_delay": 3, "backoff_factor": 2, "jitter": 0})
    rng = Random(1)
    assert rule.delay_s({}, "transient", rng) == 1
    assert rule.delay_s({"transient": 1}, "transient", rng) == 2
    assert rule.delay_s({"transient": 2}, "transient", rng) is None
    assert rule.delay_s({"transient": 2}, "flaky", rng) == 3
    assert rule.delay_s({}, "permanent", rng) is None


# -- conditions


def scope() -> Scope:
    return Scope({"one": 1, "name": "ann", "list": [1, "a"], "no": "false"}, Data())


def compiler(value: Any) -> Compiled:
    return compile_value(value, {})


HOLDS: list[tuple[Any, bool]] = [
    (True, True),
    (0, False),
    ("${no}", False),
    ("${nobody}", False),
    ({"equals": ["${one}", 1]}, True),
    ({"equals": ["${one}", True]}, False),
    ({"equals": ["${nobody}", None]}, True),
    ({"not_equals": ["${name}", "ann"]}, False),
    ({"in": ["a", "${list}"]}, True),
    ({"in": [1, "${name}"]}, False),
    ({"in": ["x", "${nobody}"]}, False),
    ({"truthy": "${name}"}, True),
    ({"not": {"truthy": "${no}"}}, True),
    ({"and": [True, {"equals": ["${one}", 1]}]}, True),
    ({"and": [True, False]}, False),
    ({"or": [False, {"in": ["n", "${name}"]}]}, True),
    ({"or": []}, False),
    ({"equals": ["${one}", "1"]}, True),
    ({"equals": ["1", "${one}"]}, True),
    ({"equals": ["${one}", "1.0"]}, False),
    ({"not_equals": ["${one}", "1"]}, False),
    ({"equals": [False, "False"]}, True),
    ({"equals": [False, "0"]}, False),
    ({"equals": [None, "null"]}, False),
    ({"equals": [["1"], [1]]}, False),
    ({"in": ["1", "${list}"]}, True),
    ({"in": ["${one}", ["1", "2"]]}, True),
    ({"in": [True, [1]]}, False),
    ({"in": ["${one}", "a1b"]}, True),
    ({"in": [["a"], "a"]}, False),
    ({"in": [5, {"5": 0}]}, True),
]


@pytest.mark.parametrize(("expression", "expected"), HOLDS, ids=[str(row[0]) for row in HOLDS])
def test_what_a_condition_says(expression: Any, expected: bool) -> None:
    condition = compile_condition(expression, compiler)
    assert condition is not None
    assert condition(scope()) is expected


def test_an_absent_condition_is_none() -> None:
    assert compile_condition(None, compiler) is None


@pytest.mark.parametrize(("value", "expected"), [(" NO ", False), ("None", False), ("", False), ("0", False), ("00", True), ([], False)])
def test_words_that_are_false(value: Any, expected: bool) -> None:
    assert truthy(value) is expected


# -- picks and shares


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(any), st.integers(1, 300), st.integers())
def test_every_count_of_picks_stays_within_one_of_its_share(weights: list[int], picks: int, seed: int) -> None:
    counts = Counter(islice(weighted_order(weights, Random(seed)), picks))
    for position, weight in enumerate(weights):
        assert abs(counts[position] - picks * weight / sum(weights)) < 1


@given(st.integers(0, 10_000), st.integers(1, 64))
def test_shares_add_up_and_differ_by_one_at_most(total: int, count: int) -> None:
    parts = [share(total, Shard(index, count)) for index in range(count)]
    assert sum(parts) == total
    assert max(parts) - min(parts) <= 1


@given(st.integers(1, 500), st.integers(1, 16))
def test_the_shards_of_a_plan_are_the_plan(users: int, count: int) -> None:
    step = {"method": "GET", "request_url": "/", "weight": 1, "throttle": {"rps": 100, "burst": 1}}
    plan = Plan("fast_http_user", "", "sequence", (step,), (Stage(10, users, 50.0), Stage(5, 2 * users, 10.0)), 15, max_rate_per_s=30)
    parts = [plan.for_shard(Shard(index, count)) for index in range(count)]
    for position, stage in enumerate(plan.stages):
        assert sum(part.stages[position].users for part in parts) == stage.users
        assert sum(part.stages[position].spawn_rate for part in parts) == pytest.approx(stage.spawn_rate)
    assert sum(part.steps[0]["throttle"]["rps"] for part in parts) == pytest.approx(100)
    assert sum(part.max_rate_per_s or 0 for part in parts) == pytest.approx(30)


# -- messages

HEALTH = Health(3, 2, 0.5, 1.5, 1000, 9)
MESSAGES = [
    Ready(1),
    Tick(0, 7, 123, HEALTH, Passes(6, 5, 1, 4), None),
    Flush(2, 10**18, 5),
    Done(0, 99, 10.5, "", HEALTH, Passes(7, 7, 0, 6, 1), lost=True),
    Failed(0, "disk full: \u2028 ü"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda one: type(one).__name__)
def test_a_message_is_one_line_and_comes_back_as_it_was(message: Any) -> None:
    line = encode(message)
    assert "\n" not in line
    assert decode(line) == message


def test_a_long_failure_keeps_its_end() -> None:
    found = decode(encode(Failed(0, "x" * 10 * TEXT_LIMIT + "the reason")))
    assert isinstance(found, Failed)
    assert len(found.text) == TEXT_LIMIT
    assert found.text.endswith("the reason")


@given(st.one_of(st.text(), st.sampled_from(["", "{}", "[]", "null", '{"kind": "tick"}', '{"kind": "nobody"}', '{"kind": []}', "1e999"])))
def test_what_is_no_message_is_nothing(line: str) -> None:
    """A library may print anything to the engine's standard output."""
    assert decode(line) is None
