"""What was written counts, whatever its value: a default that somebody wrote is not the same as nothing."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import loadflow
from loadflow.engine.load import start
from loadflow.engine.load.build import Asked, build_plan
from loadflow.engine.load_test.model import StartTest
from loadflow.engine.session.table import TABLE
from loadflow.errors import CommandError

STEPS = [{"method": "get", "request_url": "http://127.0.0.1:9/"}]
SHAPE = {"load_shape": "stages", "shape_config": {"stages": [{"duration": 90, "users": 3}]}}
RATE = {"rate": {"mode": "constant", "rps": 1_000, "duration": 90}}
FEW_FAILURES = {"thresholds": ["failure_rate < 5%"]}


class _Built(Exception):
    """Carries what start_test would do, before it does anything."""


def asked(monkeypatch: pytest.MonkeyPatch, *positional: Any, **arguments: Any) -> Asked | str:
    """What `start_test` makes of its arguments, or why it refuses them."""

    def build(*given: Any, **options: Any) -> Asked:
        raise _Built(build_plan(*given, **options))

    monkeypatch.setattr(start, "build_plan", build)
    try:
        start.start_test({"user": "fast_http_user"}, *positional, tasks=STEPS, **arguments)
    except _Built as built:
        found: Asked = built.args[0]
        return found
    except CommandError as error:
        return str(error)
    raise AssertionError("nothing was built")


NAMED = [
    ("no user is asked for beside a rate", {"rate": 1_000}, 200, 60.0),
    ("50 users are asked for beside a rate", {"rate": 1_000, "user_count": 50}, 50, 60.0),
    ("49 users are asked for beside a rate", {"rate": 1_000, "user_count": 49}, 49, 60.0),
    ("no time is given beside a shape", SHAPE, 3, 90.0),
    ("a time of 60 s cuts a shape", {**SHAPE, "test_time": 60}, 3, 60.0),
    ("a time of 61 s cuts a shape", {**SHAPE, "test_time": 61}, 3, 61.0),
    ("a time without end cuts no shape", {**SHAPE, "test_time": None}, 3, 90.0),
    ("no time is given beside a rate with a length", RATE, 200, 90.0),
    ("a time of 60 s cuts a rate", {**RATE, "test_time": 60}, 200, 60.0),
    ("a time of 60 s cuts a rate, written as 60.0", {**RATE, "test_time": 60.0}, 200, 60.0),
    ("nothing is written", {}, 50, 60.0),
    ("no end", {"test_time": None}, 50, None),
]


@pytest.mark.parametrize(("what", "arguments", "users", "duration_s"), NAMED, ids=[row[0] for row in NAMED])
def test_users_and_length(
    what: str, arguments: dict[str, Any], users: int, duration_s: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = asked(monkeypatch, **arguments)
    assert isinstance(found, Asked), found
    assert (found.plan.users, found.plan.duration_s) == (users, duration_s)


def test_by_position_it_is_written_too(monkeypatch: pytest.MonkeyPatch) -> None:
    found = asked(monkeypatch, 50, rate=1_000)
    assert isinstance(found, Asked)
    assert found.plan.users == 50


# where a default that is written means something else than none that is: beside what, and what it then means
BESIDE = {"users": {}, "a shape": SHAPE, "a rate": RATE, "a threshold": FEW_FAILURES}
MEANS = {
    ("user_count", "a rate"): "so many users",
    ("spawn_rate", "a rate"): "refused",
    ("test_time", "a shape"): "cuts it",
    ("test_time", "a rate"): "cuts it",
    ("max_failure_rate", "a threshold"): "both hold",
    **{("rate_tolerance", beside): "refused" for beside in BESIDE if beside != "a rate"},  # it is of use with a rate only
}
DEFAULTS = {name: field.default for name, field in StartTest.model_fields.items() if not field.is_required() and field.default is not None}


@pytest.mark.parametrize(("name", "beside"), [(name, beside) for beside in BESIDE for name in DEFAULTS if name not in BESIDE[beside]])
def test_every_default_of_a_load_counts_when_it_is_written(name: str, beside: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without, written = (asked(monkeypatch, **BESIDE[beside], **more) for more in ({}, {name: DEFAULTS[name]}))
    assert (without != written) is ((name, beside) in MEANS), (without, written)
    assert (isinstance(written, str)) is (MEANS.get((name, beside)) == "refused")


@pytest.mark.parametrize("beside", BESIDE)
@pytest.mark.parametrize("name", [name for name, value in DEFAULTS.items() if type(value) in (int, float) and value > 1])
def test_a_default_is_taken_and_refused_like_its_neighbour(name: str, beside: str, monkeypatch: pytest.MonkeyPatch) -> None:
    default, near = (asked(monkeypatch, **BESIDE[beside], **{name: value}) for value in (DEFAULTS[name], DEFAULTS[name] - 1))
    assert isinstance(default, str) == isinstance(near, str), (default, near)


def test_the_functions_of_commands_have_the_defaults_of_their_models() -> None:
    """Or say nothing of their own: two defaults for one argument would make it matter whether it is written."""
    differ = {}
    for command in TABLE.values():
        parameters = inspect.signature(command.function).parameters if command.arguments else {}
        for name, field in (command.arguments.model_fields if command.arguments else {}).items():
            parameter = parameters.get(field.alias or name)
            if parameter is None or field.is_required() or parameter.default is start.NOT_WRITTEN:
                continue
            if parameter.default != field.get_default(call_default_factory=True):
                differ[f"{command.name}.{name}"] = (parameter.default, field.default)
    assert differ == {}


def test_no_function_compares_an_argument_with_its_own_default() -> None:
    """That is how a written value comes to be taken for none. Words are choices, numbers are not."""
    root = Path(loadflow.__file__).parent
    found = [f"{path.relative_to(root)}:{line}" for path in sorted(root.rglob("*.py")) for line in _comparisons(path)]
    assert found == []


def _comparisons(path: Path) -> Iterator[int]:
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        positional = [*function.args.posonlyargs, *function.args.args]
        pairs = zip(positional[len(positional) - len(function.args.defaults) :], function.args.defaults, strict=True)
        pairs_by_name = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
        every = (*pairs, *pairs_by_name)
        defaults = {one.arg: default.value for one, default in every if isinstance(default, ast.Constant) and _is_number(default.value)}
        for node in ast.walk(function):
            if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
                sides = [node.left, node.comparators[0]]
                names = {side.id for side in sides if isinstance(side, ast.Name)} | {
                    side.slice.value for side in sides if isinstance(side, ast.Subscript) and isinstance(side.slice, ast.Constant)
                }
                values = [side.value for side in sides if isinstance(side, ast.Constant)]
                if any(name in names and defaults[name] in values for name in defaults):
                    yield node.lineno


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and value != 0
