"""What was asked for and not reached is said, with the reason: each row a sentence."""

from __future__ import annotations

from typing import Any

import pytest

from loadflow.engine.records.reached import StepCount, shortfalls


def stage(duration_s: float | None, users: int, spawn_rate: float = 10.0) -> dict[str, Any]:
    return {"duration_s": duration_s, "users": users, "spawn_rate": spawn_rate}


def step(name: str = "pay", **more: Any) -> dict[str, Any]:
    return {"name": name, "method": "get", "request_url": "/", **more}


NEVER = {"equals": [1, 2]}

# plan, users at the peak, counts of the steps, hits conditioned, what is said, whether it makes the run inconclusive
TABLE: list[tuple[str, dict[str, Any], int, list[StepCount] | None, int, list[str], bool]] = [
    ("all users came", {"stages": [stage(3, 7)]}, 7, None, 0, [], False),
    ("few of them", {"stages": [stage(3, 100, 1)]}, 3, None, 0, ["Only 3 of 100 users were started, at spawn_rate 1"], True),
    ("nearly all of them", {"stages": [stage(3, 100, 30)]}, 90, None, 0, ["Only 90 of 100 users were started"], False),
    ("a pace needs no ramp", {"stages": [stage(3, 100, 1)], "pace": {"segments": []}}, 3, None, 0, [], False),
    (
        "a stage too short for its users",
        {"stages": [stage(1, 50, 10), stage(60, 30)]},
        30,
        None,
        0,
        ["10 of 50 users of stage 1"],
        True,
    ),
    (
        "a lower stage too short for its users",
        {"stages": [stage(60, 50), stage(1, 0, 99), stage(1, 40, 5)]},
        50,
        None,
        0,
        ["Only 5 of 40 users of stage 3"],
        True,
    ),
    (
        "a test_time that cuts the shape",
        {"stages": [stage(10, 5), stage(10, 50)], "duration_s": 10},
        5,
        None,
        0,
        ["Only 5 of 50 users of stage 2"],
        True,
    ),
    ("stages that are reached", {"stages": [stage(10, 50), stage(5, 10), stage(10, 60)], "duration_s": 25}, 60, None, 0, [], False),
    ("every step ran", {"steps": [step(), step()]}, 1, [(1, 0), (2, 5)], 0, [], False),
    (
        "a condition never held",
        {"steps": [step(run_if=NEVER)]},
        1,
        [(0, 590)],
        0,
        ["Step 'pay' never ran: run_if was false all 590 times"],
        False,
    ),
    ("a skip always held", {"steps": [step(skip_if=NEVER)]}, 1, [(0, 1)], 0, ["'pay' never ran: skip_if was true once"], False),
    (
        "one or the other",
        {"steps": [step(run_if=NEVER, skip_if=NEVER)]},
        1,
        [(0, 2)],
        0,
        ["run_if was false, or skip_if true, all 2 times"],
        False,
    ),
    ("no weight", {"steps": [step(weight=0)], "mode": "weighted"}, 1, [(0, 0)], 0, ["its weight is 0"], False),
    (
        "little weight",
        {"steps": [step(weight=1)], "mode": "weighted"},
        1,
        [(0, 0)],
        0,
        ["it was not picked, because there were too few passes"],
        False,
    ),
    (
        "no pass got so far",
        {"steps": [step(), step("")]},
        1,
        [(9, 0), (0, 0)],
        0,
        ["Step 'get /' never ran: it was not reached before"],
        True,
    ),
    ("nobody knows", {"steps": [step()]}, 1, None, 0, [], False),
    (
        "a filter that selects nothing",
        {"steps": [step()], "network": {"name_filter": "chekout"}},
        1,
        [(5, 0)],
        0,
        ["filter 'chekout' selected no hit"],
        True,
    ),
    ("a filter that selects", {"steps": [step()], "network": {"name_filter": "pay"}}, 1, [(5, 0)], 5, [], False),
    ("no filter", {"steps": [step()], "network": {"name_filter": None}}, 1, [(5, 0)], 0, [], False),
]


@pytest.mark.parametrize(
    ("plan", "users", "counts", "conditioned", "said", "doubtful"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_what_is_said(
    plan: dict[str, Any], users: int, counts: list[StepCount] | None, conditioned: int, said: list[str], doubtful: bool
) -> None:
    found = shortfalls(plan, users, counts, conditioned)
    assert len(found) == len(said), found
    for one, text in zip(found, said, strict=True):
        assert text in one.warning.message
        assert one.warning.advice
    assert any(one.doubt for one in found) == doubtful


def test_of_many_idle_steps_some_are_told_by_name_and_the_others_counted() -> None:
    found = shortfalls({"steps": [step(run_if=NEVER)] * 300}, 1, [(0, 1)] * 300, 0)
    assert [len(found), found[-1].warning.message] == [21, "280 more steps never ran."]
