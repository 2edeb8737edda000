# ruff: noqa: E501  # a row and its golden text stay on one line
from __future__ import annotations

import builtins
from typing import Any

import pytest

from loadflow.engine.script.builtin_functions import BLOCKED, BUILTINS
from loadflow.engine.script.document import parse_script
from loadflow.errors import CommandError, ScriptError
from tests.script.table import COMMANDS

FORBIDDEN = [
    "eval",
    "exec",
    "compile",
    "__import__",
    "breakpoint",
    "open",
    "input",
    "getattr",
    "setattr",
    "delattr",
    "globals",
    "locals",
    "vars",
    "type",
]
WAYS = [
    ("by name", "{}", False), ("with its module", "builtins.{}", False), ("through a dunder", "__builtins__.{}", False),
    ("through the function of another", "print.__self__.{}", False), ("in a nested action", "{}", True), ("with spaces", " {} ", False),
]  # fmt: skip


@pytest.mark.parametrize("name", FORBIDDEN)
@pytest.mark.parametrize(("spelling", "inside"), [way[1:] for way in WAYS], ids=[way[0] for way in WAYS])
def test_what_reaches_the_interpreter_is_blocked_on_purpose(name: str, spelling: str, inside: bool) -> None:
    action: list[Any] = [spelling.format(name), ["1"]]
    document = [["LD_execute_action", {"action_list": {"load_density": [action]}}]] if inside else [action]
    with pytest.raises(ScriptError, match="is blocked on purpose"):
        parse_script(document, commands=COMMANDS)


@pytest.mark.parametrize("name", ["__class__", "__build_class__", "__loader__", "print.__globals__", "str.__subclasses__"])
def test_dunders_are_blocked(name: str) -> None:
    with pytest.raises(ScriptError, match="is blocked on purpose"):
        parse_script([[name]], commands=COMMANDS)


def test_a_blocked_name_stays_blocked_when_a_table_has_it() -> None:
    with pytest.raises(ScriptError, match="is blocked on purpose"):
        parse_script([["eval", ["1"]]], commands={**COMMANDS, "eval": COMMANDS["print"]})


def test_every_builtin_is_either_offered_blocked_or_unknown() -> None:
    functions = {
        name
        for name, value in vars(builtins).items()
        if callable(value) and not (isinstance(value, type) and issubclass(value, BaseException))
    }
    loose = {name for name in functions - set(BUILTINS) - BLOCKED if not name.startswith("_")}
    assert loose <= {"complex", "frozenset"}
    assert not BLOCKED & set(BUILTINS)
    assert not {command.function for command in BUILTINS.values()} & {vars(builtins)[name] for name in functions}


RESULTS: list[tuple[str, list[Any], Any]] = [
    ("abs", [-2], 2), ("all", [[1, 0]], False), ("any", [[1, 0]], True), ("ascii", ["é"], "'\\xe9'"), ("bin", [5], "0b101"), ("bool", [[]], False),
    ("callable", ["print"], False), ("chr", [97], "a"), ("dict", [[["a", 1]]], {"a": 1}), ("divmod", [7, 2], [3, 1]), ("enumerate", [["a"], 1], [[1, "a"]]),
    ("float", ["1.5"], 1.5), ("format", [3.14159, ".2f"], "3.14"), ("hash", [5], 5), ("hex", [255], "0xff"), ("int", ["ff", 16], 255), ("int", [2.7], 2),
    ("len", ["abc"], 3), ("list", ["ab"], ["a", "b"]), ("max", [1, 3, 2], 3), ("min", [[4, 2]], 2), ("oct", [8], "0o10"), ("ord", ["a"], 97), ("pow", [2, 10], 1024),
    ("pow", [2, 10, 1000], 24), ("pow", [4, 0.5], 2.0), ("range", [3], [0, 1, 2]), ("range", [5, 1, -2], [5, 3]), ("repr", ["a"], "'a'"), ("reversed", [[1, 2]], [2, 1]),
    ("round", [2.567, 1], 2.6), ("set", [[1, 2, 1]], [1, 2]), ("sorted", [[2, 1], True], [2, 1]), ("str", [5], "5"), ("sum", [[1, 2], 3], 6), ("tuple", ["ab"], ["a", "b"]),
    ("zip", [[1, 2], "ab"], [[1, "a"], [2, "b"]]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "result"), RESULTS)
def test_builtins_take_json_and_give_json(name: str, arguments: list[Any], result: Any) -> None:
    parse_script([[name, arguments]], commands=BUILTINS)
    assert BUILTINS[name].function(*arguments) == result


def test_every_offered_builtin_is_tried_here() -> None:
    assert {row[0] for row in RESULTS} | {"print"} == set(BUILTINS)


def test_print_prints(capsys: pytest.CaptureFixture[str]) -> None:
    BUILTINS["print"].function("a", 1)
    assert capsys.readouterr().out == "a 1\n"


@pytest.mark.parametrize(("name", "arguments"), [
    ("range", [10**9]), ("range", [0, 10**30]), ("pow", [10, 10**9]), ("pow", [10**4000, 100]), ("pow", [3, 2**5000, 7]), ("pow", [-8, 0.5]),
    ("round", [5, -(10**9)]), ("format", [5, "1000000000"]), ("format", [1.5, ".99999f"]),
])  # fmt: skip
def test_what_could_fill_the_memory_is_refused(name: str, arguments: list[Any]) -> None:
    with pytest.raises(CommandError):
        BUILTINS[name].function(*arguments)
