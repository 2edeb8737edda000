"""The two engines' rules compared in one process: the core's functions and Python's are fed the same, whatever Hypothesis thinks of.

`LOADFLOW_EXAMPLES=5000` makes more of them than the usual 30.
"""

from __future__ import annotations

import json
import math
from random import Random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadflow.engine.base import values
from loadflow.engine.base.json_path import MISSING, parts_of, path_text, value_at
from loadflow.engine.generator.native.cut import cut_of
from loadflow.engine.generator.retry import RetryRule, failure_class
from loadflow.engine.protocols.http.reply import HttpReply, status_failure
from loadflow.engine.protocols.running.checks import compile_checks, compile_extracts
from loadflow.engine.protocols.running.condition import compile_condition
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.resolve.missing import MissingValue
from tests.generator.rules import CLASSES, Sides, plan_of, rules, the_core


@pytest.fixture(scope="module")
def core() -> Any:
    return the_core()


# text without half surrogate pairs, which the core can't hold, and numbers of which both ends know every digit
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\U0010fffe"), max_size=8)
word = st.sampled_from(
    ["", "a", "true", "No ", "\x1c", " 200 ", "200.0", "1e3", "+7", ".5", "5.", "inf", "1_0", "NaN", "٢", "None", 'it\'s "x"']
)
number = (
    st.integers(-(2**70), 2**70) | st.integers(-3, 300) | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([1e30, 10**30])
)
scalar = st.none() | st.booleans() | number | text | word
value = st.recursive(scalar, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text | word, inner, max_size=3), max_leaves=6)


def dumped(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False)


@rules
@given(value, value)
@example(10**30, 1e30)
@example(2**64 + 1, 2**64 + 1)
@example(2**53 + 1, float(2**53))
@example([True], [1])
@example(-0.0, 0)
def test_values_are_compared_alike(core: Any, one: Any, other: Any) -> None:
    for left, right in ((one, other), (one, one), (one, [other, one])):
        assert core.same(dumped(left), dumped(right)) == values.same(left, right)
        assert core.alike(dumped(left), dumped(right)) == values.alike(left, right)
        assert core.is_in(dumped(left), dumped(right)) == values.is_in(left, right)


@rules
@given(value)
@example("\x1c")
@example("x" * 300)
def test_a_value_is_read_and_shown_alike(core: Any, one: Any) -> None:
    assert core.truthy(dumped(one)) == values.truthy(one)
    assert core.text_of(dumped(one)) == values.text_of(one)
    assert core.shown(dumped(one)) == values.shown(one)
    assert core.number_of(dumped(one)) == values.number_of(one)


key = st.sampled_from(["a", "b", "0", "1", "-1", "@odata.id", "x y", "'", ""])
tree = st.recursive(scalar, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(key, inner, max_size=4), max_leaves=10)


@rules
@given(tree, st.lists(key | st.integers(-2, 2), max_size=4), st.booleans())
@example({"0": "key", "a": ["place"]}, ["a", 0], False)
@example({"0": "key"}, [0], False)
@example(["place"], ["0"], False)
def test_a_path_finds_the_same(core: Any, data: Any, parts: list[str | int], dotted: bool) -> None:
    dotted = dotted and not any(str(part) in ("", "@odata.id") for part in parts)
    path = ".".join(map(str, parts)) if dotted else path_text(parts)
    assert [str(part) for part in parts_of(path)] == [str(part) for part in parts]
    found = value_at(data, path)
    if not dotted:
        assert found == _exactly_at(data, parts)
    told = core.value_at(dumped(data), json.dumps(cut_of(path)))
    assert (MISSING if told is None else json.loads(told)) == found
    assert told is None or told == values._as_json(found)


def _exactly_at(data: Any, parts: list[str | int]) -> Any:
    """What Python's own subscripts give for keys of objects and places in lists."""
    for part in parts:
        if not isinstance(data, dict if isinstance(part, str) else list):
            return MISSING
        try:
            data = data[part]
        except (KeyError, IndexError):
            return MISSING
    return data


@rules
@given(value, value, text)
def test_templates_are_filled_in_alike(core: Any, one: Any, other: Any, words: str) -> None:
    filled = ["${a}", "x${a}-${b}", {"k": "${b}", "l": ["${a}", "${randint(1,9)}", "${uuid()}"]}, "${randint(5,500)}"]
    steps = [
        {
            "method": "post",
            "request_url": "/a/${randint(1,99)}?q=${n}",
            "json": filled,
            "headers": {"X-A": "${n}"},
            "cookies": {"c": "${n}"},
        },
        {"method": "put", "request_url": "/${w}", "data": {"f": "${a}", "g": "${b}"}, "params": {"p": "${w}"}},
        {"method": "get", "request_url": "${w}", "headers": {"X-B": "${w}"}},
        {"method": "post", "request_url": "/", "data": "${a} ${w}", "auth": {"type": "basic", "username": "u", "password": "${w}"}},
    ]
    # written by a step, so no constants
    changes = [{"var": name, "from": "status_code"} for name in ("a", "b", "n", "w")]
    sides = Sides(
        core,
        plan_of(
            *steps, {"method": "get", "request_url": "/", "extract": changes}, seed=7, variables={"a": one, "b": other, "n": 5, "w": words}
        ),
    )
    for step in range(len(steps)):
        sides.request(step)
        sides.draws_alike()


expression = st.recursive(
    st.sampled_from(
        [
            {"equals": ["${a}", "${b}"]},
            {"not_equals": ["${a}", "${b}"]},
            {"in": ["${a}", "${b}"]},
            {"truthy": "${a}"},
            "${b}",
            "${c}",
            {"in": ["${c}", "${a}"]},
        ]
    ),
    lambda inner: (
        st.builds(lambda word, many: {word: many}, st.sampled_from(["and", "or"]), st.lists(inner, min_size=1, max_size=3))
        | inner.map(lambda one: {"not": one})
    ),
    max_leaves=4,
)


@rules
@given(value, value, expression)
def test_conditions_hold_alike(core: Any, one: Any, other: Any, condition: Any) -> None:
    changes = [{"var": name, "from": "status_code"} for name in ("a", "b", "c")]
    sides = Sides(
        core, plan_of({"method": "get", "request_url": "/", "run_if": condition, "extract": changes}, variables={"a": one, "b": other})
    )
    holds = compile_condition(sides.plan.steps[0]["run_if"], sides.compiler)
    assert holds is not None
    assert sides.core.is_made(0) == holds(sides.scope)


@rules
@given(st.sampled_from(list(Outcome)), st.sampled_from([0, 200, 404, 408, 425, 429, 499, 500, 502, 503, 504, 599, 999]))
def test_failures_are_classed_alike(core: Any, outcome: Outcome, status: int) -> None:
    sides = Sides(core, plan_of({"method": "get", "request_url": "/"}))
    assert CLASSES[sides.core.failure_class(outcome, status)] == failure_class(outcome, status)


@rules
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "transient": st.integers(0, 4),
            "flaky": st.integers(0, 4),
            "permanent": st.integers(0, 4),
            "base_delay": st.floats(0, 10),
            "max_delay": st.floats(0, 100),
            "backoff_factor": st.floats(1, 1000.0),
            "jitter": st.floats(0, 1),
        },
    ),
    st.lists(st.sampled_from([Outcome.CONNECT, Outcome.ASSERTION, Outcome.TEMPLATE, Outcome.STATUS]), max_size=12),
)
@example({"transient": 1, "flaky": 0, "permanent": 0}, [Outcome.CONNECT, Outcome.CONNECT, Outcome.ASSERTION])
@example({"base_delay": 0.0, "backoff_factor": 1000.0, "transient": 4}, [Outcome.CONNECT] * 4)
def test_retries_wait_and_draw_alike(core: Any, config: dict[str, Any], failures: list[Outcome]) -> None:
    """A used-up budget draws nothing: else all values of a seeded user behind it would be others."""
    sides = Sides(core, plan_of({"method": "get", "request_url": "/", "retry": config}, seed=3))
    rule = RetryRule.of(sides.plan.steps[0]["retry"])
    used: dict[Any, int] = {}
    for outcome in failures:
        kind = failure_class(outcome, 503)
        counts = [used.get(one, 0) for one in CLASSES]
        wait_s = rule.delay_s(used, kind, sides.scope.rng)
        told_s = sides.core.retry_s(0, outcome, 503, counts)
        assert (wait_s is None) == (told_s is None)
        if wait_s is not None:
            assert math.isclose(wait_s, told_s, rel_tol=1e-12, abs_tol=1e-12)
            used[kind] = used.get(kind, 0) + 1
    sides.draws_alike()


class Fields:
    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self._fields = fields

    def items(self) -> list[tuple[str, str]]:
        return self._fields


assertion = st.one_of(
    st.builds(lambda one: {"type": "status_code", "value": one}, st.sampled_from([200, [200, 999], "${a}", ["${a}", 404]])),
    st.builds(
        lambda kind, one: {"type": kind, "value": one}, st.sampled_from(["contains", "not_contains"]), st.sampled_from(["a", "${a}", "é"])
    ),
    st.builds(
        lambda path, one: {"type": "json_path", "path": path, "value": one},
        st.sampled_from(["a", "b", "$.a[0]", "$['0']"]),
        value | st.just("${a}"),
    ),
    st.builds(lambda one: {"type": "header", "name": "x-a", "value": one}, st.sampled_from(["1", "${a}", "true"])),
    st.builds(
        lambda kind, one: {"type": kind, "pattern": one}, st.sampled_from(["regex", "not_regex"]), st.sampled_from(["a+", "\\d", "^\\{"])
    ),
    st.builds(lambda one: {"type": "response_time", "max_ms": one}, st.sampled_from([5, 1.5, "${a}"])),
)
extract = st.sampled_from(
    [
        {"path": "a"},
        {"path": "$.b[-1]"},
        {"from": "header", "name": "X-A"},
        {"from": "status_code"},
        {"from": "body"},
        {"from": "regex", "pattern": "a(.)?"},
        {"from": "cookie", "name": "k"},
    ]
)
fields = st.lists(
    st.sampled_from([("X-A", "1"), ("x-a", "true"), ("Set-Cookie", "k=1; Path=/"), ("Set-Cookie", ' k = "2" '), ("Set-Cookie", "k")]),
    max_size=4,
)


@rules
@given(
    st.lists(assertion, max_size=3), st.lists(extract, max_size=2), st.sampled_from([200, 204, 302, 404, 503, 999]), fields, tree, scalar
)
@example([{"type": "status_code", "value": "${a}"}], [], 200, [], {}, 200.0)
@example([{"type": "status_code", "value": "${a}"}], [], 200, [], {}, " 200 ")
@example([{"type": "status_code", "value": "${a}"}], [], 200, [], {}, None)
@example([{"type": "json_path", "path": "a", "value": 2**70}], [], 200, [], {"a": 2**70 + 1}, 0)
@example([{"type": "contains", "value": "${a}"}], [], 200, [], [True], True)
def test_answers_are_judged_alike(
    core: Any, checks: list[Any], extracts: list[Any], status: int, lines: list[tuple[str, str]], data: Any, held: Any
) -> None:
    taken = [{**entry, "var": f"v{place}"} for place, entry in enumerate(extracts)]
    step = {"method": "get", "request_url": "/", "assertions": checks, "extract": taken}
    plan = plan_of(step, {"method": "get", "request_url": "/", "extract": [{"var": "a", "from": "body"}]}, variables={"a": held})
    sides = Sides(core, plan)
    body = b"" if status == 204 else dumped(data).encode()
    length = b"" if status == 204 else b"Content-Length: %d\r\n" % len(body)
    head = f"HTTP/1.1 {status} Fine\r\n".encode() + b"".join(f"{name}: {one}\r\n".encode() for name, one in lines)
    found = sides.core.judge(0, head + length + b"\r\n" + body, 2.0)
    shown = [(name, one.strip()) for name, one in lines]
    reply = HttpReply(status, "Fine", Fields(shown), body, url="", sent_bytes=0, received_bytes=0, max_body_bytes=10**7)
    failure = judged(sides, reply)
    assert found == (None if failure is None else (failure[0], failure[1]))
    variables, _ = json.loads(sides.core.values())
    for entry in taken:
        kept = [sides.scope.variables[entry["var"]]] if entry["var"] in sides.scope.variables else []
        assert kept in variables


def judged(sides: Sides, reply: HttpReply) -> tuple[Outcome, str] | None:
    """As `Step._judge` and `Step._attempt` put it together."""
    step = sides.plan.steps[0]
    if not any(entry["type"] == "status_code" for entry in step["assertions"]) and (failure := status_failure(reply)):
        return failure
    try:
        for check in compile_checks(step["assertions"], sides.compiler):
            if (failure := check(reply, sides.scope, 2.0)) is not None:
                return failure
    except MissingValue as error:
        return Outcome.ASSERTION, str(error)
    result = None
    for take in compile_extracts(step["extract"]):
        result = take(reply, sides.scope) or result
    return result


def test_a_seed_means_the_same_numbers(core: Any) -> None:
    sides = Sides(core, plan_of({"method": "get", "request_url": "/"}, seed=11))
    assert [sides.core.draw() for _ in range(3)] == [sides.scope.rng.random() for _ in range(3)]
    assert sides.scope.rng.random() != Random("user 11 0 1").random()
