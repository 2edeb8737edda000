"""The steps of a test in their three forms: a list, a map from method to step, or either of them with a mode.

What a step may hold depends on the user type, so the models are made for each form of step.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, ValidationError, ValidatorFunctionWrapHandler, WrapValidator, create_model

from loadflow.engine.protocols.model.step import StepBase
from loadflow.engine.protocols.model.user_type import Form
from loadflow.engine.script.mistakes import TAG, Fault, bundle, faults_of, kind_of, shorten, suggest
from loadflow.engine.script.part import A_LIST, AN_OBJECT, BY_KIND, HIGHEST, Choice, Int, Name, Part

__all__ = ["MODES", "Group", "Mode", "Scenario", "plain_steps", "tasks_model"]

MODES = ("sequence", "weighted", "conditional")
Mode = Literal["sequence", "weighted"]


class _Methods:
    """Each key of the map is a method, and none is there twice in two spellings; the steps are checked too."""

    def __init__(self, methods: tuple[str, ...]) -> None:
        self._methods = methods

    def __call__(self, value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        found = []
        seen: set[str] = set()
        for key in value if isinstance(value, dict) else ():
            method = str(key).upper()
            if method not in self._methods:
                hint = suggest(str(key), [word.lower() for word in self._methods])
                found.append(Fault((key,), f"{shorten(key)} is not an HTTP method (an object here maps methods to steps)", hint))
            elif method in seen:
                found.append(Fault((key,), f"{method} is there twice", "write a list of steps"))
            seen.add(method)
        known = {key: step for key, step in value.items() if str(key).upper() in self._methods} if isinstance(value, dict) else value
        try:
            steps = handler(known if known or not found else value)
        except ValidationError as error:
            found.extend(fault for fault in faults_of(error) if fault.loc[:1] not in {other.loc for other in found})
        if found:
            raise bundle(found)
        return steps


def _pattern(methods: tuple[str, ...]) -> str:
    return "^(" + "|".join("".join(f"[{c.lower()}{c}]" for c in word) for word in methods) + ")$"


class Scenario(Part):
    """Steps and how a user goes through them: all in order, or one by weight each pass. `conditional` means sequence."""

    noun: ClassVar[str] = "tasks with a mode"
    mode: Annotated[str, Choice("mode", MODES, any_case=True)] = "sequence"
    tasks: Any

    @classmethod
    def conflicts(cls, raw: dict[str, Any]) -> Iterable[Fault]:
        tasks = raw.get("tasks")
        steps = list(tasks.values()) if isinstance(tasks, dict) else tasks
        if str(raw.get("mode")).lower() != "weighted" or not isinstance(steps, list) or not steps:
            return
        if all(isinstance(step, dict) and step.get("weight") == 0 for step in steps):
            yield Fault(("tasks",), "all weights are 0, so no step is ever picked", "give one step a weight of 1 or more")


class Group(Part):
    """Steps that belong together: in weighted mode they are picked together, by the group's `weight`."""

    noun: ClassVar[str] = "a group of steps"
    group: Name
    weight: Annotated[Int, Field(ge=0, le=HIGHEST)] | None = 1
    steps: Any


def _entry(value: Any) -> str:
    if isinstance(value, Group) or (isinstance(value, dict) and ("group" in value or "steps" in value)):
        return f"{TAG}a group of steps"
    return f"{TAG}a step"


def _form(value: Any) -> str:
    if isinstance(value, Scenario) or (isinstance(value, dict) and ("mode" in value or "tasks" in value)):
        return f"{TAG}an object with mode and tasks"
    return {"a list": f"{TAG}a list of steps", "an object": f"{TAG}an object from method to step"}.get(kind_of(value), TAG)


@cache
def tasks_model(form: Form) -> type[Part]:
    """A model with one key, `tasks`: the steps of user types with this form."""
    noun = form.step.__name__
    grouped: Any = Annotated[_list_of(form.step), Field(min_length=1)]
    group: Any = create_model(f"{noun}Group", __base__=Group, __doc__=Group.__doc__, steps=(grouped, ...))
    entry: Any = Annotated[
        Annotated[form.step, Tag(f"{TAG}a step")] | Annotated[group, Tag(f"{TAG}a group of steps")], Discriminator(_entry)
    ]
    steps: Any = Annotated[_list_of(entry), Field(min_length=1)]
    by_kind: Any = Annotated[steps, A_LIST]
    forms: Any = Annotated[steps, Tag(f"{TAG}a list of steps")]
    if form.mapped is not None:
        by_method: Any = Annotated[
            _map_to(form.mapped),
            Field(min_length=1, json_schema_extra={"propertyNames": {"pattern": _pattern(form.methods)}}),
            WrapValidator(_Methods(form.methods)),
        ]
        by_kind |= Annotated[by_method, AN_OBJECT]
        forms |= Annotated[by_method, Tag(f"{TAG}an object from method to step")]
    held: Any = Annotated[by_kind, BY_KIND]
    scenario: Any = create_model(f"{noun}Scenario", __base__=Scenario, __doc__=Scenario.__doc__, tasks=(held, ...))
    forms |= Annotated[scenario, Tag(f"{TAG}an object with mode and tasks")]
    return create_model(f"{noun}Tasks", __base__=Part, tasks=(Annotated[forms, Discriminator(_form)], ...))


def _list_of(model: Any) -> Any:
    return list[model]


def _map_to(model: Any) -> Any:
    return dict[str, model]


def plain_steps(tasks: list[StepBase | Group] | dict[str, StepBase] | Scenario) -> tuple[Mode, tuple[dict[str, Any], ...]]:
    """How a user goes through the steps, and the steps as plain JSON objects, each with its `weight`, and its method from a map."""
    if isinstance(tasks, Scenario):
        _, steps = plain_steps(tasks.tasks)
        return ("weighted" if tasks.mode == "weighted" else "sequence"), steps
    if isinstance(tasks, dict):
        return "sequence", tuple({"method": method.upper(), **step.plain()} for method, step in tasks.items())
    return "sequence", tuple(plain for entry in tasks for plain in _plain(entry))


def _plain(entry: StepBase | Group) -> Iterable[dict[str, Any]]:
    """A step by itself; of a group its steps, the first with the group's weight."""
    if not isinstance(entry, Group):
        return [entry.plain()]
    weight = 1 if entry.weight is None else entry.weight
    plain = [{**step.plain(), "group": entry.group, "weight": weight} for step in entry.steps]
    return [plain[0], *({**step, "follows": True} for step in plain[1:])]
