"""The steps of a test in their three forms: a list, a map from method to step, or either of them with a mode."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from loadflow.engine.script.http_step import METHODS, HttpStep, MappedHttpStep
from loadflow.engine.script.mistakes import TAG, Fault, bundle, faults_of, kind_of, shorten, suggest
from loadflow.engine.script.part import A_LIST, AN_OBJECT, BY_KIND, Choice, Part

__all__ = ["MODES", "Mode", "Scenario", "Tasks", "plain_steps"]

MODES = ("sequence", "weighted", "conditional")
Mode = Literal["sequence", "weighted"]


def _methods(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Each key of the map is a method, and none is there twice in two spellings; the steps are checked too."""
    found = []
    seen: set[str] = set()
    for key in value if isinstance(value, dict) else ():
        method = str(key).upper()
        if method not in METHODS:
            hint = suggest(str(key), [word.lower() for word in METHODS])
            found.append(Fault((key,), f"{shorten(key)} is no HTTP method (an object here maps methods to steps)", hint))
        elif method in seen:
            found.append(Fault((key,), f"{method} is there twice", "write a list of steps"))
        seen.add(method)
    known = {key: step for key, step in value.items() if str(key).upper() in METHODS} if isinstance(value, dict) else value
    try:
        steps = handler(known if known or not found else value)
    except ValidationError as error:
        found.extend(fault for fault in faults_of(error) if fault.loc[:1] not in {other.loc for other in found})
    if found:
        raise bundle(found)
    return steps


_METHOD_KEY = "^(" + "|".join("".join(f"[{c.lower()}{c}]" for c in word) for word in METHODS) + ")$"
StepList = Annotated[list[HttpStep], Field(min_length=1)]
MethodMap = Annotated[
    dict[str, MappedHttpStep],
    Field(min_length=1, json_schema_extra={"propertyNames": {"pattern": _METHOD_KEY}}),
    WrapValidator(_methods),
]


class Scenario(Part):
    """Steps and how a user goes through them: all in order, or one by weight each pass. `conditional` means sequence."""

    noun: ClassVar[str] = "tasks with a mode"
    mode: Annotated[str, Choice("mode", MODES, any_case=True)] = "sequence"
    tasks: Annotated[Annotated[StepList, A_LIST] | Annotated[MethodMap, AN_OBJECT], BY_KIND]

    @classmethod
    def conflicts(cls, raw: dict[str, Any]) -> Iterable[Fault]:
        tasks = raw.get("tasks")
        steps = list(tasks.values()) if isinstance(tasks, dict) else tasks
        if str(raw.get("mode")).lower() != "weighted" or not isinstance(steps, list) or not steps:
            return
        if all(isinstance(step, dict) and step.get("weight") == 0 for step in steps):
            yield Fault(("tasks",), "all weights are 0, so no step is ever picked", "give one step a weight of 1 or more")


def _form(value: Any) -> str:
    if isinstance(value, Scenario) or (isinstance(value, dict) and ("mode" in value or "tasks" in value)):
        return f"{TAG}an object with mode and tasks"
    return {"a list": f"{TAG}a list of steps", "an object": f"{TAG}an object from method to step"}.get(kind_of(value), TAG)


Tasks = Annotated[
    Annotated[StepList, Tag(f"{TAG}a list of steps")]
    | Annotated[MethodMap, Tag(f"{TAG}an object from method to step")]
    | Annotated[Scenario, Tag(f"{TAG}an object with mode and tasks")],
    Discriminator(_form),
]


def plain_steps(tasks: list[HttpStep] | dict[str, MappedHttpStep] | Scenario) -> tuple[Mode, tuple[dict[str, Any], ...]]:
    """How a user goes through the steps, and the steps as plain JSON objects with `method`, `request_url` and `weight`."""
    if isinstance(tasks, Scenario):
        _, steps = plain_steps(tasks.tasks)
        return ("weighted" if tasks.mode == "weighted" else "sequence"), steps
    if isinstance(tasks, dict):
        return "sequence", tuple({"method": method.upper(), **step.plain()} for method, step in tasks.items())
    return "sequence", tuple(step.plain() for step in tasks)
