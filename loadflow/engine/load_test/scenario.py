"""The steps of a test in their three forms: a list, a map from method to step, or either of them with a mode.

What a step may hold depends on the user type, so the models are made for each form of step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    create_model,
)

from loadflow.engine.load_test.user_types import user_type_names, user_type_of
from loadflow.engine.plan.step_json import StepJson
from loadflow.engine.protocols.model.step import SettledSpan, StepBase
from loadflow.engine.protocols.model.user_type import Form, UserType
from loadflow.engine.script.mistakes import TAG, Fault, bundle, faults_of, kind_of, shorten, suggest, wrong
from loadflow.engine.script.part import A_LIST, A_NUMBER, AN_OBJECT, BY_KIND, HIGHEST, Choice, Int, Name, Part, Seconds, Settled
from loadflow.engine.script.visit import steps_of

__all__ = ["MODES", "Batch", "Group", "Mode", "Scenario", "StepOfAnother", "another_type", "plain_steps", "tasks_model"]

Annotation: TypeAlias = Any  # a type that is made while the program runs, which no type checker follows
MOST_AT_ONCE = 1_000  # steps of one batch
MODES = ("sequence", "weighted", "conditional")
Mode = Literal["sequence", "weighted"]


class _Methods:
    """Each key of the map is a method, and none is there twice in two spellings; the steps are checked too."""

    def __init__(self, methods: tuple[str, ...]) -> None:
        self._methods = methods

    def __call__(self, value: object, handler: ValidatorFunctionWrapHandler) -> object:
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
    def conflicts(cls, raw: dict[str, object]) -> Iterable[Fault]:
        tasks = raw.get("tasks")
        steps = list(tasks.values()) if isinstance(tasks, dict) else tasks
        if str(raw.get("mode")).lower() != "weighted" or not isinstance(steps, list) or not steps:
            return
        if all(isinstance(step, dict) and step.get("weight") == 0 for step in steps):
            yield Fault(("tasks",), "all weights are 0, so no step is ever picked", "give one step a weight of 1 or more")


class Batch(Part):
    """Steps that are sent at once; the pass goes on when the last of them has ended. `think_time`: a pause after that, if one was sent."""

    noun: ClassVar[str] = "a batch of steps"
    refusal: ClassVar[str | None] = None  # the way out for users who can't send several at once
    batch: Any
    weight: Annotated[Int, Field(ge=0, le=HIGHEST)] | None = 1
    think_time: Settled[Annotated[Annotated[Seconds, A_NUMBER] | Annotated[SettledSpan, AN_OBJECT], BY_KIND]] | None = None

    @classmethod
    def conflicts(cls, raw: dict[str, object]) -> Iterable[Fault]:
        if cls.refusal is not None:
            yield Fault(("batch",), "is not for this user, who sends one request after the other", cls.refusal)
            return
        steps = raw.get("batch")
        for index, step in enumerate(steps if isinstance(steps, list) else ()):
            for key, hint in _NOT_IN_BATCH.items() if isinstance(step, dict) else ():
                if step.get(key) is not None:
                    yield Fault(("batch", index, key), "has no meaning for a step of a batch", hint)
        yield from _extracted_twice(steps)


_NOT_IN_BATCH = {
    "think_time": "write it beside batch: it begins when all of its steps have ended",
    "weight": "write it beside batch: all of its steps are picked together",
}


def _extracted_twice(steps: object) -> Iterable[Fault]:
    first: dict[tuple[str, str], int] = {}
    for (index, *way), step in steps_of(steps):
        entries = step.get("extract")
        for number, entry in enumerate(entries if isinstance(entries, list) else ()):
            if not isinstance(entry, dict) or not isinstance(entry.get("var"), str):
                continue
            before = first.setdefault((entry["var"], str(entry.get("scope") or "var")), int(index))
            if before != index:
                text = f"is extracted by batch[{before}] too, and which of the two answers comes later is chance"
                yield Fault(("batch", index, *way, "extract", number, "var"), text, "give it another name")


def another_type(step: StepJson, form: Form) -> UserType | None:
    """The user type that a step names, where its steps have another form than `form`, and where there is that type."""
    named = user_type_of(step.get("user"))
    return None if named is None or named.form == form else named


class StepOfAnother(Part):
    """A step of another user type than the test's, which its key `user` names; its other keys are those of that type's steps."""


def _another(form: Form) -> Callable[[object, ValidationInfo], object]:
    """Reads a step of another user type, in a test whose steps have `form`."""

    def read(value: object, info: ValidationInfo) -> Any:
        if not isinstance(value, dict):
            return value
        try:
            name = Choice("user type", user_type_names()).read(value["user"])
        except ValidationError as error:
            raise bundle(Fault(("user", *fault.loc), fault.message, fault.hint) for fault in faults_of(error)) from None
        named = user_type_of(name)
        assert named is not None
        if apart := form.apart or named.form.apart:
            raise wrong("is another user than the test's, and this one's steps stand by themselves", apart, "user")
        return named.form.step.model_validate(value, context=info.context)

    return read


def _of_own(form: Form, where: str) -> BeforeValidator:
    """Refuses what only a list of steps can hold."""

    def check(step: Any) -> object:
        if isinstance(step, dict) and ("batch" in step or "steps" in step) and where == "a batch":
            raise wrong("is no step; a batch has steps only", "write its steps into this batch, or the batch into a group")
        if isinstance(step, dict) and another_type(step, form) is not None:
            raise wrong(f"is another user than the test's, and {where} has steps of one", "write it into a list of steps", "user")
        return step

    return BeforeValidator(check)


class Group(Part):
    """Steps that belong together: in weighted mode they are picked together, by the group's `weight`."""

    noun: ClassVar[str] = "a group of steps"
    group: Name
    weight: Annotated[Int, Field(ge=0, le=HIGHEST)] | None = 1
    steps: Any


def _entry(form: Form) -> Discriminator:
    def of(value: Any) -> str:
        if isinstance(value, Batch) or (isinstance(value, dict) and "batch" in value):
            return f"{TAG}a batch of steps"
        if isinstance(value, Group) or (isinstance(value, dict) and ("group" in value or "steps" in value)):
            return f"{TAG}a group of steps"
        if isinstance(value, dict) and value.get("user") is not None:
            named = user_type_of(value["user"])
            return f"{TAG}a step" if named is not None and named.form == form else f"{TAG}a step of another user"
        return f"{TAG}a step"

    return Discriminator(of)


def _form(value: object) -> str:
    if isinstance(value, Scenario) or (isinstance(value, dict) and ("mode" in value or "tasks" in value)):
        return f"{TAG}an object with mode and tasks"
    return {"a list": f"{TAG}a list of steps", "an object": f"{TAG}an object from method to step"}.get(kind_of(value), TAG)


@cache
def tasks_model(form: Form) -> type[Part]:
    """A model with one key, `tasks`: the steps of user types with this form."""
    noun = form.step.__name__
    alone: Annotation = Annotated[form.step, _of_own(form, "a batch")]
    together: Annotation = Annotated[_list_of(alone), Field(min_length=1, max_length=MOST_AT_ONCE)]
    nothing: Annotation = Annotated[Any, WithJsonSchema({"not": {}})]
    held_at_once = together if form.one_by_one is None else nothing
    batch: Annotation = create_model(f"{noun}Batch", __base__=Batch, __doc__=Batch.__doc__, batch=(held_at_once, ...))
    batch.refusal = form.one_by_one
    another: Annotation = Annotated[StepOfAnother, PlainValidator(_another(form), json_schema_input_type=StepOfAnother)]
    step: Annotation = Annotated[form.step, Tag(f"{TAG}a step")] | Annotated[batch, Tag(f"{TAG}a batch of steps")]
    step |= Annotated[another, Tag(f"{TAG}a step of another user")]
    grouped: Annotation = Annotated[_list_of(Annotated[step, _entry(form)]), Field(min_length=1)]
    group: Annotation = create_model(f"{noun}Group", __base__=Group, __doc__=Group.__doc__, steps=(grouped, ...))
    entry: Annotation = Annotated[step | Annotated[group, Tag(f"{TAG}a group of steps")], _entry(form)]
    steps: Annotation = Annotated[_list_of(entry), Field(min_length=1)]
    by_kind: Annotation = Annotated[steps, A_LIST]
    forms: Annotation = Annotated[steps, Tag(f"{TAG}a list of steps")]
    if form.mapped is not None:
        by_method: Annotation = Annotated[
            _map_to(Annotated[form.mapped, _of_own(form, "an object from method to step")]),
            Field(min_length=1, json_schema_extra={"propertyNames": {"pattern": _pattern(form.methods)}}),
            WrapValidator(_Methods(form.methods)),
        ]
        by_kind |= Annotated[by_method, AN_OBJECT]
        forms |= Annotated[by_method, Tag(f"{TAG}an object from method to step")]
    held: Annotation = Annotated[by_kind, BY_KIND]
    scenario: Annotation = create_model(f"{noun}Scenario", __base__=Scenario, __doc__=Scenario.__doc__, tasks=(held, ...))
    forms |= Annotated[scenario, Tag(f"{TAG}an object with mode and tasks")]
    return create_model(f"{noun}Tasks", __base__=Part, tasks=(Annotated[forms, Discriminator(_form)], ...))


def _list_of(model: Annotation) -> Annotation:
    return list[model]


def _map_to(model: Annotation) -> Annotation:
    return dict[str, model]


def plain_steps(tasks: list[StepBase | Batch | Group] | dict[str, StepBase] | Scenario) -> tuple[Mode, tuple[dict[str, object], ...]]:
    """How a user goes through the steps, and the steps as plain JSON objects, each with its `weight`, and its method from a map."""
    if isinstance(tasks, Scenario):
        _, steps = plain_steps(tasks.tasks)
        return ("weighted" if tasks.mode == "weighted" else "sequence"), steps
    if isinstance(tasks, dict):
        return "sequence", tuple({"method": method.upper(), **step.plain()} for method, step in tasks.items())
    return "sequence", tuple(plain for entry in tasks for plain in _plain(entry))


def _plain(entry: StepBase | Batch | Group) -> list[dict[str, object]]:
    """A step by itself; of a batch or a group its steps, each with its weight, those behind the first marked as ones that follow it.

    The first step of a batch says how many are sent `at_once`, and what is waited for after them (`think_after`).
    """
    if isinstance(entry, StepBase):
        return [entry.plain()]
    weight = 1 if entry.weight is None else entry.weight
    if isinstance(entry, Group):
        plain = [{**step, "group": entry.group, "weight": weight} for inner in entry.steps for step in _plain(inner)]
    else:
        plain = [{**step.plain(), "weight": weight} for step in entry.batch]
        after = entry.model_dump(mode="json", include={"think_time"}, warnings=False)["think_time"]
        plain[0] |= {"at_once": len(plain), **({"think_after": after} if after is not None else {})}
    return [plain[0], *({**step, "follows": True} for step in plain[1:])]
