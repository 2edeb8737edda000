"""`variables` at the top of a script: the inputs of the script, each with its type and its text for a form."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import ValidationError

from loadflow.engine.script.mistakes import Fault, faults_of, kind_of, shorten
from loadflow.engine.script.part import Choice, Number, Part, Text
from loadflow.engine.script.placeholders import SECRET, name_trouble, whole

__all__ = ["DECLARED_KEY", "TYPES", "Declaration", "as_written", "declarations", "defaults_of", "type_of", "value_trouble"]

DECLARED_KEY = "variables"
TYPES = {"text": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false"}
_NUMBERS = ("integer", "number")


def type_of(value: object) -> str:
    """The type that `value` is of, "" for a list, an object or null.

    >>> type_of("a"), type_of(1), type_of(1.5), type_of(True), type_of([])
    ('text', 'integer', 'number', 'boolean', '')
    """
    match value:
        case bool():
            return "boolean"
        case str():
            return "text"
        case int():
            return "integer"
        case float():
            return "number" if math.isfinite(value) else ""
    return ""


class Declaration(Part):
    """One variable. Without a default it has to be given; without a type it has the default's, or is text."""

    noun: ClassVar[str] = "the declaration of a variable"
    type: Annotated[str, Choice("type", tuple(TYPES))] | None = None
    description: Text = ""
    default: Any = None
    choices: list[object] | None = None
    min: Number | None = None
    max: Number | None = None

    @property
    def kind(self) -> str:
        """One of TYPES."""
        return self.type or (type_of(self.default) if self.has_default else "text")

    @property
    def has_default(self) -> bool:
        return "default" in self.model_fields_set

    @classmethod
    def conflicts(cls, raw: dict[str, object]) -> Iterable[Fault]:
        kind = raw.get("type")
        if kind is None:
            kind = type_of(raw["default"]) if "default" in raw else "text"
            if not kind:
                yield Fault(("default",), f"is text, a number, true or false, not {kind_of(raw['default'])}")
                return
        if kind not in TYPES:
            return
        for index, choice in enumerate(_list(raw.get("choices"))):
            if trouble := _type_trouble(kind, choice):
                yield Fault(("choices", index), trouble)
        if raw.get("choices") == []:
            yield Fault(("choices",), "has no choice", "name one, or remove it")
        for bound in ("min", "max"):
            if raw.get(bound) is not None and kind not in _NUMBERS:
                yield Fault((bound,), f"has no meaning for {TYPES[kind]}", "remove it")
        least, most = raw.get("min"), raw.get("max")
        if type_of(least) in _NUMBERS and type_of(most) in _NUMBERS and least > most:  # type: ignore[operator]
            yield Fault(("max",), "is less than min")
        elif "default" in raw and (trouble := _type_trouble(kind, raw["default"]) or _range_trouble(raw["default"], raw)):
            yield Fault(("default",), trouble)


def declarations(document: object) -> tuple[dict[str, Declaration], list[Fault]]:
    """What a script's document declares, and what is wrong with it; places begin with `variables`."""
    written = document.get(DECLARED_KEY) if isinstance(document, dict) else None
    if written is None:
        return {}, []
    if not isinstance(written, dict):
        hint = 'write {"NAME": {"description": "…", "default": …}}'
        return {}, [Fault((DECLARED_KEY,), f"must be an object with a key for each variable, not {kind_of(written)}", hint)]
    made: dict[str, Declaration] = {}
    faults: list[Fault] = []
    for name, entry in written.items():
        if trouble := name_trouble(name) or ("names of secrets are not declared" if name.startswith(SECRET) else ""):
            faults.append(Fault((DECLARED_KEY, name), trouble, "give another name"))
            continue
        try:
            made[name] = Declaration.model_validate(entry)
        except ValidationError as error:
            found = faults_of(error, keys=Declaration.keys(), noun=Declaration.noun)
            faults += [Fault((DECLARED_KEY, name, *fault.loc), fault.message, fault.hint) for fault in found]
    return made, faults


def defaults_of(declared: Mapping[str, Declaration]) -> dict[str, object]:
    """The values of those that have a default."""
    return {name: one.default for name, one in declared.items() if one.has_default}


def value_trouble(declared: Declaration, value: object) -> str:
    """Why `value` can't be the variable's; "" if it can. A whole placeholder stands for a value that is not known yet.

    A number, true or false may be text too: on the command line they look the same.

    >>> value_trouble(Declaration(type="integer", min=1), 0)
    'must be at least 1, not 0'
    >>> value_trouble(Declaration(default="small", choices=["small", "large"]), "tiny")
    "is none of 'small', 'large': 'tiny'"
    """
    if whole(value) is not None:
        return ""
    wrong_type = "" if declared.kind == "text" and type_of(value) else _type_trouble(declared.kind, value)
    return wrong_type or _range_trouble(as_written(declared, value), declared.model_dump())


def as_written(declared: Declaration, value: object) -> object:
    """`value`, as text where the variable is text: 5 is "5"."""
    return json.dumps(value) if declared.kind == "text" and type_of(value) in ("boolean", *_NUMBERS) else value


def _type_trouble(kind: str, value: object) -> str:
    found = type_of(value)
    right = found == kind or (kind == "number" and found == "integer") or whole(value) is not None
    if right:
        return ""
    shown = f"{value:g}" if isinstance(value, float) else kind_of(value)
    return f"must be {TYPES[kind]}, not {shown}"


def _range_trouble(value: Any, rules: Mapping[str, object]) -> str:
    choices = _list(rules.get("choices"))
    if whole(value) is not None:
        return ""
    if choices and value not in choices:
        return f"is none of {', '.join(map(shorten, choices))}: {shorten(value)}"
    if type_of(value) not in _NUMBERS:
        return ""
    least, most = rules.get("min"), rules.get("max")
    if type_of(least) in _NUMBERS and value < least:
        return f"must be at least {least:g}, not {value:g}"
    return f"must be at most {most:g}, not {value:g}" if type_of(most) in _NUMBERS and value > most else ""


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
