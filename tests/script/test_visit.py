"""The one walk over what is written: actions, nested ones, and steps. What has another shape is left out, for the parser to name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from loadflow.engine.script.document import parse_script
from loadflow.engine.script.visit import MOST_NESTED, actions_of, every_action, steps_of, steps_of_test
from loadflow.errors import ScriptError
from tests.script.table import COMMANDS

A, B = ["LD_summary"], ["print", ["done"]]


@pytest.mark.parametrize(
    ("what", "document", "found"),
    [
        ("a bare list", [A, B], [("LD_summary", None, "actions[0]"), ("print", ["done"], "actions[1]")]),
        ("a list below the key", {"load_density": [A], "description": "x"}, [("LD_summary", None, "load_density[0]")]),
        ("entries that are no actions", [5, [], [5], A], [("LD_summary", None, "actions[3]")]),
        ("an object without the key", {"actions": [A]}, []),
        ("text", "LD_summary", []),
        ("nothing", None, []),
    ],
)
def test_the_actions_of_a_document_with_their_places(what: str, document: object, found: list[tuple[str, Any, str]]) -> None:
    assert [(one.name, one.payload, one.place) for one in actions_of(document)] == found, what


NESTED_WAYS = [
    ("by name", lambda inner: {"action_list": inner}, "actions[0].action_list"),
    ("by position", lambda inner: [inner], "actions[0].arguments[0]"),
]


@pytest.mark.parametrize(("way", "payload", "place"), NESTED_WAYS, ids=[row[0] for row in NESTED_WAYS])
@pytest.mark.parametrize(("root", "wrap"), [("", lambda actions: actions), (".load_density", lambda actions: {"load_density": actions})])
def test_nested_actions_come_behind_the_one_that_holds_them(way: str, payload: Any, place: str, root: str, wrap: Any) -> None:
    document = [["LD_execute_action", payload(wrap([A, B]))], A]
    assert [one.place for one in every_action(document)] == ["actions[0]", f"{place}{root}[0]", f"{place}{root}[1]", "actions[1]"]


def inside(depth: int) -> list[Any]:
    """As many scripts inside each other, the outermost included."""
    return [A] if depth == 1 else [["LD_execute_action", {"action_list": inside(depth - 1)}]]


@pytest.mark.parametrize(("depth", "is_read"), [(MOST_NESTED, True), (MOST_NESTED + 1, False)])
def test_the_walk_goes_as_deep_as_the_parser(depth: int, is_read: bool) -> None:
    assert ("LD_summary" in [one.name for one in every_action(inside(depth))]) is is_read
    try:
        parse_script(inside(depth), commands=COMMANDS)
    except ScriptError as error:
        refused = any("deep" in one.message for one in error.mistakes)
        assert refused is not is_read, error
    else:
        assert is_read


def test_a_document_that_holds_itself_has_an_end() -> None:
    document: list[Any] = [A]
    document.append(["LD_execute_action", [document]])
    assert len([one for one in every_action(document) if one.name == "LD_summary"]) == MOST_NESTED


GET, POST = {"method": "get", "request_url": "/"}, {"method": "post", "request_url": "/"}


@pytest.mark.parametrize(
    ("what", "tasks", "found"),
    [
        ("a list", [GET, "?", POST], [((0,), GET), ((2,), POST)]),
        ("a map from method to step", {"get": GET}, [(("get",), GET)]),
        ("a scenario with a list", {"mode": "weighted", "tasks": [GET]}, [(("tasks", 0), GET)]),
        ("a scenario with a map", {"tasks": {"post": POST}}, [(("tasks", "post"), POST)]),
        (
            "a group among steps",
            [{"group": "buy", "steps": [GET, POST]}, GET],
            [((0, "steps", 0), GET), ((0, "steps", 1), POST), ((1,), GET)],
        ),
        ("a group in a group, which the parser refuses", [{"steps": [{"steps": [GET]}]}], [((0, "steps", 0, "steps", 0), GET)]),
        ("nothing", None, []),
    ],
)
def test_the_steps_of_tasks_with_their_ways(what: str, tasks: object, found: list[Any]) -> None:
    assert list(steps_of(tasks)) == found, what


def test_the_steps_of_a_test_are_in_the_order_of_a_user() -> None:
    def ways() -> Iterator[tuple[int | str, ...]]:
        for loc, _ in steps_of_test({"tasks": [GET], "on_stop": [POST], "on_start": [GET], "host": "x"}):
            yield loc

    assert list(ways()) == [("on_start", 0), ("tasks", 0), ("on_stop", 0)]
