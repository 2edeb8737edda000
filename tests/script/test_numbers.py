"""Every number that a script may hold has bounds: what makes no sense is a mistake of the check, whatever the field."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, Field, ValidationError

from loadflow.engine.commands.sla import Sla
from loadflow.engine.load_test.model import StartTest
from loadflow.engine.load_test.rate import Length
from loadflow.engine.load_test.threshold import SlaRule
from loadflow.engine.script import part
from loadflow.engine.script.arguments import bind, signature_of
from loadflow.engine.script.command import Command
from loadflow.engine.script.document import PolicyElement, parse_script
from loadflow.engine.session.table import TABLE
from loadflow.errors import ScriptError
from tests.load_test.test_model import mistakes
from tests.script.table import load_test, with_step

# numbers that are sent or compared as they stand: any that a float holds
AS_WRITTEN = {
    "value",
    "params",
    "data",
    "headers",
    "cookies",
    "equals",
    "not_equals",
    "in_",
    "json",
    "metadata",
    "message",
    "rps",
    "command",
}


def models() -> Iterator[type[BaseModel]]:
    """Every model of the script, below `Part`."""
    import importlib
    import pkgutil

    from loadflow.engine import load_test, protocols

    for package in (load_test, protocols):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name.rsplit(".", 1)[-1] in ("step", "user", "model", "assertion", "condition") or package is load_test:
                importlib.import_module(module.name)
    pending: list[type[BaseModel]] = [part.Part]
    while pending:
        one = pending.pop()
        pending.extend(one.__subclasses__())
        if (
            one.__module__.startswith(("loadflow.engine.load_test.", "loadflow.engine.protocols."))
            and one.__name__ != "Arguments"
            and not one.__name__.endswith("_arguments")
        ):
            yield one


def mistakes_in(action: list[Any]) -> list[str]:
    """As `mistakes`, with every command that there is."""
    with pytest.raises(ScriptError) as caught:
        parse_script([action], commands=TABLE)
    return [str(mistake).removeprefix("actions[0].") for mistake in caught.value.mistakes]


def command_models() -> Iterator[type[BaseModel]]:
    """What each command takes, wherever that is declared: its own model, or its function's signature; and the models inside."""
    pending: list[Any] = [command.arguments or signature_of(command).model for command in TABLE.values()]
    seen: set[Any] = set()
    while pending:
        one = pending.pop()
        if isinstance(one, type) and issubclass(one, BaseModel) and one not in seen:
            seen.add(one)
            yield one
            pending += [field.annotation for field in one.model_fields.values()]
        else:
            pending += get_args(one)


def bounds_of(annotation: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, bool, bool]]:
    """Of each number in an annotation: its type, and whether it has a lower and an upper bound."""
    if hasattr(annotation, "__metadata__"):
        found = tuple(constraint for one in annotation.__metadata__ for constraint in (*getattr(one, "metadata", ()), one))
        yield from bounds_of(get_args(annotation)[0], (*above, *found))
    elif annotation in (int, float):
        yield annotation, any(isinstance(one, Ge | Gt | Length) for one in above), any(isinstance(one, Le | Lt | Length) for one in above)
    elif get_origin(annotation) in (Union, types.UnionType, list, tuple):
        for inner in get_args(annotation):
            yield from bounds_of(inner, above if get_origin(annotation) not in (list, tuple) else ())


FIELDS = sorted(
    {
        (model.__name__, name, number.__name__, low, high)
        for model in {*models(), *command_models()}
        for name, field in ((field.alias or name, field) for name, field in model.model_fields.items())
        for number, low, high in bounds_of(field.annotation, tuple(field.metadata))
    }
)


def test_every_number_of_every_model_has_both_bounds() -> None:
    assert len(FIELDS) > 60
    missing = [row for row in FIELDS if not (row[3] and row[4]) and row[1] not in AS_WRITTEN]
    assert missing == []


NUMBERS = ["user_count", "iterations", "test_time", "spawn_rate", "processes", "threads", "drain_time", "max_lateness", "seed", "wait_time"]
FAR = [10**30, 1e30, 1e300, -(10**30), 10**400, float("inf"), float("nan")]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("number", FAR, ids=lambda number: f"{number}"[:12])
def test_a_number_out_of_range_is_a_mistake_at_its_place(name: str, number: Any) -> None:
    found = mistakes(load_test(**{name: number}))
    assert found
    assert all(name in line.split(":")[0] for line in found)


FAR_OFF: list[tuple[str, Any]] = [
    ("a billion users", load_test(user_count=10**9)),
    ("users of a shape", load_test(load_shape="spike", shape_config={"spike_users": 10**9})),
    ("a stage without end", load_test(load_shape="stages", shape_config={"stages": [{"duration": 1e300, "users": 1}]})),
    ("a pace without end", load_test(rate={"profile": "ramp", "from": 1, "to": 2, "duration": 1e300})),
    ("a step's timeout", with_step(timeout=1e300)),
    ("a pause", with_step(think_time=1e300)),
    ("retries", with_step(retry={"transient": 10**30})),
    ("a throttle", with_step(throttle={"key": "a", "rps": 1e300})),
    ("a weight", with_step(weight=10**30)),
    ("a limit of time", with_step(assertions=[{"type": "response_time", "max_ms": 1e300}])),
    ("a group", with_step(extract=[{"var": "a", "from": "regex", "pattern": "(a)", "group": 10**30}])),
]


@pytest.mark.parametrize("action", [row[1] for row in FAR_OFF], ids=[row[0] for row in FAR_OFF])
def test_what_makes_no_sense_is_a_mistake(action: Any) -> None:
    assert mistakes(action)


@pytest.mark.parametrize(
    "policy", [{"timeout_seconds": 1e300}, {"retries": 10**30}, {"retry_delay_seconds": 1e300}, {"timeout_seconds": float("nan")}]
)
def test_a_policy_is_bounded_too(policy: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PolicyElement.model_validate(policy)


def test_every_command_with_a_model_is_seen() -> None:
    known = set(command_models())
    assert {StartTest, Sla, SlaRule} <= known
    rows = {name for model, name, *_ in FIELDS if model == "LD_diff_runs_arguments"}
    assert rows == {"baseline", "current", "relative", "absolute_ms", "absolute_failure_rate", "confidence"}


def _limits(count: int, per_s: Annotated[float, Field(gt=0, le=9)] = 1.0, share: Annotated[float, Field(le=1)] | str = "1%") -> None: ...


IN_SIGNATURES: list[tuple[str, dict[str, Any], str]] = [
    ("a whole number", {"count": 10**30}, "count"),
    ("one that a bound says", {"count": 1, "per_s": 10}, "per_s"),
    ("one above 0", {"count": 1, "per_s": 0}, "per_s"),
    ("one that may be text too", {"count": 1, "share": 2}, "share"),
    ("one without end", {"count": 1, "share": float("inf")}, "share"),
]


@pytest.mark.parametrize(("arguments", "at"), [row[1:] for row in IN_SIGNATURES], ids=[row[0] for row in IN_SIGNATURES])
def test_bounds_stand_in_signatures_too(arguments: dict[str, Any], at: str) -> None:
    command = Command("limits", _limits, "")
    assert bind(command, {"count": 1, "per_s": 9, "share": "2%"}).faults == []
    assert [fault.loc for fault in bind(command, arguments).faults] == [(at,)]


ELSEWHERE: list[tuple[str, Any]] = [
    ("a comparison's confidence", ["LD_diff_runs", {"confidence": 2}]),
    ("a comparison's share", ["LD_diff_runs", {"relative": 1e300}]),
    ("a comparison's milliseconds", ["LD_diff_runs", {"absolute_ms": -1}]),
    ("users of a recording", ["LD_har_to_action_json", {"har": {}, "user_count": 10**9 + 1}]),
    ("the time of a recording", ["LD_har_to_action_json", {"har": {}, "test_time": 1e300}]),
    ("a control plane's port", ["LD_start_socket_server", {"port": 65_536}]),
    ("a threshold's value", ["LD_assert_sla", {"rules": [{"type": "latency_p95", "op": "lt", "value": 1e300}]}]),
    ("a threshold's number", ["LD_assert_sla", {"rules": ["p95 < 1e300"]}]),
    ("a threshold's samples", ["LD_assert_sla", {"rules": [{"expr": "p95 < 1", "min_samples": 1e300}]}]),
]


@pytest.mark.parametrize("action", [row[1] for row in ELSEWHERE], ids=[row[0] for row in ELSEWHERE])
def test_commands_without_a_model_of_the_script_are_bounded_too(action: Any) -> None:
    assert all(line.startswith(list(action[1])[-1]) for line in mistakes_in(action))
