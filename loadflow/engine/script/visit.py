"""The actions of a script and the steps of a load test as they are written, checked or not: the one walk over each.

What has not the shape of an action or a step is left out: the parser says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from loadflow.engine.script.mistakes import Loc, place_of

__all__ = [
    "BARE_ROOT",
    "MOST_NESTED",
    "ROOT_KEY",
    "WrittenAction",
    "actions_of",
    "every_action",
    "populations_of",
    "steps_of",
    "steps_of_test",
]

ROOT_KEY = "load_density"  # of an object that holds the list of actions
BARE_ROOT = "actions"  # what places start with where the list stands by itself
MOST_NESTED = 16  # scripts inside each other, the outermost included


@dataclass(frozen=True, slots=True)
class WrittenAction:
    """One action; `payload` is its second element, None where there is none, and `elements` are all of them."""

    name: str
    payload: Any
    place: str
    elements: list[object]

    def inner(self) -> tuple[object, str] | None:
        """The document that this action runs as a script of its own, with its place; None if it runs none."""
        if self.name != "LD_execute_action":
            return None
        match self.payload:
            case {"action_list": document}:
                return document, place_of(self.place, ("action_list",))
            case [document, *_]:
                return document, place_of(self.place, ("arguments", 0))
        return None


def actions_of(document: object, place: str = "") -> Iterator[WrittenAction]:
    """The actions of a document at `place` ("": it is a whole script), without those nested in them.

    >>> [action.place for action in actions_of([["LD_summary"], "?", ["print", ["done"]]])]
    ['actions[0]', 'actions[2]']
    """
    if isinstance(document, dict):
        document, place = document.get(ROOT_KEY), place_of(place, (ROOT_KEY,))
    for index, entry in enumerate(document if isinstance(document, list) else ()):
        if isinstance(entry, list) and entry and isinstance(entry[0], str):
            yield WrittenAction(entry[0], entry[1] if len(entry) > 1 else None, place_of(place or BARE_ROOT, (index,)), entry)


def every_action(document: object, place: str = "", depth: int = 1) -> Iterator[WrittenAction]:
    """The actions of a document in the order in which they run, nested ones behind the action that holds them.

    Documents nested deeper than the parser allows are left out.

    >>> [action.place for action in every_action([["LD_execute_action", {"action_list": [["LD_summary"]]}]])]
    ['actions[0]', 'actions[0].action_list[0]']
    """
    for action in actions_of(document, place):
        yield action
        inner = action.inner()
        if inner is not None and depth < MOST_NESTED:
            yield from every_action(*inner, depth + 1)


def populations_of(test: Mapping[str, object]) -> list[dict[str, object]]:
    """The populations of a load test; none where it says none."""
    written = test.get("populations")
    return [one if isinstance(one, dict) else {} for one in written] if isinstance(written, list) else []


def steps_of_test(test: Mapping[str, object]) -> Iterator[tuple[Loc, dict[str, object]]]:
    """Each step of a load test with its way from the test's arguments: of `on_start`, of `tasks`, of `on_stop`; of each population too."""
    for key in ("on_start", "tasks", "on_stop"):
        yield from steps_of(test.get(key), (key,))
    for index, population in enumerate(populations_of(test)):
        for way, step in steps_of_test({**population, "populations": None}):
            yield ("populations", index, *way), step


def steps_of(tasks: object, loc: Loc = ()) -> Iterator[tuple[Loc, dict[str, object]]]:
    """Each step with its way, those of a group or a batch in its place.

    `tasks` is a list, a map from method to step, or a scenario with either.

    >>> [loc for loc, _ in steps_of([{"group": "buy", "steps": [{"method": "get"}]}, {"method": "post"}])]
    [(0, 'steps', 0), (1,)]
    """
    if isinstance(tasks, dict) and ("mode" in tasks or "tasks" in tasks):
        tasks, loc = tasks.get("tasks"), (*loc, "tasks")
    for key, step in tasks.items() if isinstance(tasks, dict) else enumerate(tasks) if isinstance(tasks, list) else ():
        if not isinstance(step, dict):
            continue
        inner = next((name for name in ("steps", "batch") if isinstance(step.get(name), dict | list)), None)
        if inner is not None:
            yield from steps_of(step[inner], (*loc, key, inner))
        else:
            yield (*loc, key), step
