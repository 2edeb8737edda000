"""A step as JSON: as a plan holds it, and with the values that one hit gives it.

The keys and their types are those of the step's model (`protocols/NAME/step.py`), which has checked them before they get here. Models
differ by user type, so what reads a step by its keys takes them as they are.
"""

from __future__ import annotations

from typing import TypeAlias, TypedDict

from loadflow.engine.base.json_value import JsonMapping

__all__ = ["AssertionJson", "ExtractJson", "StepJson", "StepValues"]

StepJson: TypeAlias = JsonMapping
StepValues: TypeAlias = JsonMapping  # placeholders are filled in: with a value of a wrong type too, which fails the hit


class AssertionJson(TypedDict, total=False):
    """One of a step's `assertions`; which keys there are, its type says. Values may hold placeholders."""

    type: str
    value: object
    truthy: bool
    path: str
    name: str
    pattern: str
    max_ms: object


# one of a step's `extract`, in the functional form because `from` is a keyword
ExtractJson = TypedDict(
    "ExtractJson",
    {
        "var": str,
        "from": str,
        "path": str,
        "name": str,
        "pattern": str,
        "group": int | None,
        "selector": str,
        "attribute": str | None,
        "expression": str,
        "namespaces": dict[str, str],
        "scope": str,
        "only": str | None,
    },
    total=False,
)
