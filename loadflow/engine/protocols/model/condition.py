"""When a step runs: the expressions of `run_if` and `skip_if`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field

from loadflow.engine.script.mistakes import Fault
from loadflow.engine.script.part import A_FLAG, A_NUMBER, AN_OBJECT, BY_KIND, TEXT, Flag, Int, Part, Text

__all__ = ["OPERATORS", "Condition", "Term"]

OPERATORS = ("equals", "not_equals", "in", "truthy", "not", "and", "or")

Pair = Annotated[list[Any], Field(min_length=2, max_length=2)]


class Term(Part):
    """Exactly one operator. `equals`, `not_equals` and `in` ([needle, haystack]) take two items, `and` and `or` one or more."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})
    noun: ClassVar[str] = "a condition"

    equals: Pair = Field(default=[])
    not_equals: Pair = Field(default=[])
    in_: Pair = Field(default=[], alias="in")
    truthy: Any = None
    not_: Condition = Field(default=True, alias="not")
    and_: Annotated[list[Condition], Field(min_length=1)] = Field(default=[], alias="and")
    or_: Annotated[list[Condition], Field(min_length=1)] = Field(default=[], alias="or")

    @classmethod
    def conflicts(cls, raw: dict[str, object]) -> Iterable[Fault]:
        if len(raw) != 1:
            what = f"not {len(raw)}" if raw else "not none"
            yield Fault((), f"a condition has exactly one operator, {what}", f"operators: {', '.join(OPERATORS)}; join several with 'and'")


Condition = Annotated[
    Annotated[Flag, A_FLAG] | Annotated[Int, A_NUMBER] | Annotated[Text, TEXT] | Annotated[Term, AN_OBJECT],
    BY_KIND,
]

Term.model_rebuild()
