"""Whether a command can take the arguments of an action: bound to names, then checked by a model.

A command without a model of its own gets one from its function's signature; bounds and patterns stand there in `Annotated`.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union, cast

from annotated_types import BaseMetadata
from pydantic import AfterValidator, ConfigDict, Field, ValidationError, create_model
from pydantic.fields import FieldInfo

from loadflow.engine.base.counted import noun_for
from loadflow.engine.script.command import Command
from loadflow.engine.script.mistakes import Fault, Loc, faults_of
from loadflow.engine.script.part import A_FLAG, A_LIST, A_NUMBER, AN_OBJECT, BY_KIND, TEXT, Choice, Flag, Int, Number, Part, Text

__all__ = ["FILES", "NESTED", "Arguments", "Signature", "bind", "named", "signature_of"]

NESTED = "action_list"  # the argument of a command with nested == "actions" that holds a document
FILES = "execute_files_list"  # the argument of a command with nested == "files" that holds paths


@dataclass(frozen=True, slots=True)
class Arguments:
    """Arguments by name: the values, where each was written (relative to its action), and what is wrong with them."""

    values: dict[str, Any] = field(default_factory=dict)
    locs: dict[str, Loc] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function takes, as a model of its named arguments. `most` None: any number of positional arguments."""

    model: type[Part]
    positional: tuple[str, ...]
    required: tuple[str, ...]
    most: int | None


def bind(command: Command, payload: dict[str, object] | list[object] | None) -> Arguments:
    """The payload's values by argument name, all checked, except for the insides of a nested document."""
    signature = signature_of(command)
    if isinstance(payload, list):
        names = signature.positional
        values = dict(zip(names, payload, strict=False))
        locs: dict[str, Loc] = {name: ("arguments", index) for index, name in enumerate(values)}
        found = _too_many(command, signature, payload)
        for name in signature.required:
            locs.setdefault(name, (name,))
    else:
        values = dict(payload or {})
        locs = {name: (name,) for name in values}
        found = []
    found += [
        Fault((*locs.get(str(fault.loc[0]), fault.loc[:1]), *fault.loc[1:]) if fault.loc else (), fault.message, fault.hint)
        for fault in _check(command, signature, values)
    ]
    return Arguments(values, locs, found)


def named(command: Command, payload: object) -> dict[str, object]:
    """What of an unchecked payload stands under a name, whichever way it was written."""
    if isinstance(payload, list):
        return dict(zip(signature_of(command).positional, payload, strict=False))
    return payload if isinstance(payload, dict) else {}


@lru_cache(maxsize=1024)
def _signature(name: str, function: Callable[..., object], nested: str | None) -> Signature:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # written in C, says nothing about its arguments
        return Signature(_model(name, {}, open_ended=True), (), (), None)
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError):  # hints of names that exist for the type checker only
        hints = {}
    fields: dict[str, object] = {}
    positional, required = [], []
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.kind is not parameter.KEYWORD_ONLY:
            positional.append(parameter.name)
        wanted = _json_type(hints.get(parameter.name, Any), parameter.default)
        if nested == "actions" and parameter.name == NESTED:
            wanted = Any  # the script parser checks it, with its own places
        elif nested == "files" and parameter.name == FILES:
            wanted = Annotated[list[Annotated[Text, Field(min_length=1)]], Field(min_length=1)]
        if parameter.default is parameter.empty:
            required.append(parameter.name)
            fields[parameter.name] = (wanted, Field(alias=parameter.name))
        else:  # a factory, so that the schema shows no default that JSON can't hold
            fields[parameter.name] = (wanted, Field(default_factory=lambda: None, alias=parameter.name))
    open_names = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    endless = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)
    model = _model(name, fields, open_ended=open_names)
    return Signature(model, tuple(positional), tuple(required), None if endless else len(positional))


def signature_of(command: Command) -> Signature:
    """What the function of `command` takes."""
    try:
        return _signature(command.name, command.function, command.nested)
    except TypeError:  # a method of an unhashable object has no place in a cache
        return _signature.__wrapped__(command.name, command.function, command.nested)


def _model(name: str, fields: Mapping[str, Any], *, open_ended: bool) -> type[Part]:
    extra: Literal["allow", "forbid"] = "allow" if open_ended else "forbid"
    base = type("Arguments", (Part,), {"noun": name, "model_config": ConfigDict(extra=extra), "__module__": __name__})
    # the fields are numbered, because an argument may be called like a method of the model
    numbered = {f"argument_{index}": definition for index, definition in enumerate(fields.values())}
    return cast(type[Part], create_model(f"{name}_arguments", __base__=base, **numbered))


def _check(command: Command, signature: Signature, values: dict[str, object]) -> list[Fault]:
    model = command.arguments or signature.model
    try:
        model.model_validate(values)
    except ValidationError as error:
        keys = [each.alias or name for name, each in model.model_fields.items()]
        faults = faults_of(error, keys=keys, noun=command.name)
        return [
            replace(fault, message=fault.message.replace(" is not a key of ", " is not an argument of ")) if len(fault.loc) == 1 else fault
            for fault in faults
        ]
    return []


def _too_many(command: Command, signature: Signature, payload: list[object]) -> list[Fault]:
    if signature.most is None or len(payload) <= signature.most:
        return []
    takes = f"takes {signature.most or 'no'} {noun_for(signature.most or 0, 'argument')}, not {len(payload)}"
    hint = f"they are {', '.join(signature.positional)}" if signature.positional else "remove them"
    if command.nested == "actions" and isinstance(payload[0], list | str):
        hint = "put the actions into a list of their own: [[…], […]] is one argument for each action"
    return [Fault(("arguments", signature.most), f"{command.name} {takes}", hint)]


_SIMPLE: dict[object, tuple[object, object]] = {
    str: (Text, TEXT),
    Path: (Text, TEXT),
    int: (Int, A_NUMBER),
    float: (Number, A_NUMBER),
    bool: (Flag, A_FLAG),
    dict: (dict[str, Any], AN_OBJECT),
    list: (list[Any], A_LIST),
}


def _json_type(annotation: object, default: object = inspect.Parameter.empty) -> object:
    wanted, _ = _kind(annotation)
    return wanted | None if default is None and wanted is not Any else wanted


def _kind(annotation: object) -> tuple[Any, Any]:
    """The strict type for values of `annotation`, and the tag of its JSON kind; `(Any, None)` where JSON has no such kind."""
    if annotation in _SIMPLE:
        return _SIMPLE[annotation]
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        wanted, tag = _kind(inner[0])
        bounds = tuple(one for one in inner[1:] if isinstance(one, FieldInfo | BaseMetadata | AfterValidator))
        return (Annotated[(wanted, *bounds)] if tag in (A_NUMBER, TEXT) and bounds else wanted), tag
    if origin in (list, tuple, set, frozenset, Sequence):
        return (list[_json_type(inner[0])] if origin in (list, Sequence) else list[Any]), A_LIST  # type: ignore[misc]
    if origin in (dict, Mapping):
        return dict[str, _json_type(inner[1])], AN_OBJECT  # type: ignore[misc]
    if origin is Literal and all(isinstance(word, str) for word in inner):
        return Annotated[str, Choice("choice", inner)], TEXT
    if origin in (Union, types.UnionType):
        return _union(inner), None
    return Any, None


def _union(members: tuple[object, ...]) -> object:
    kinds: dict[Any, Any] = {}
    for member in members:
        if member is types.NoneType:
            continue
        wanted, tag = _kind(member)
        if tag is None or (tag in kinds.values() and tag is not A_NUMBER):
            return Any
        kinds[Number if tag is A_NUMBER and tag in kinds.values() else wanted] = tag
    if A_NUMBER in kinds.values() and Number in kinds:
        kinds.pop(Int, None)
    choices = [Annotated[wanted, tag] for wanted, tag in kinds.items()]
    union = next(iter(kinds)) if len(choices) == 1 else Annotated[Union[tuple(choices)], BY_KIND]  # noqa: UP007  # made of a tuple
    return union | None if types.NoneType in members else union
