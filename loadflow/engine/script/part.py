"""The base of every model of the script, and the value types they share.

A `Part` reports everything wrong with it at once, its own cross-checks included, and knows its keys by name, so that an unknown one
comes with advice. The member of a union is chosen by the type of a value before anything is validated, so a mistake is reported once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    Strict,
    Tag,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from loadflow.engine.base.counted import a
from loadflow.engine.script.mistakes import TAG, Fault, bundle, faults_of, kind_of, shorten, suggest, wrong
from loadflow.engine.script.placeholders import whole

__all__ = [
    "AN_OBJECT",
    "A_FLAG",
    "A_LIST",
    "A_NUMBER",
    "BY_KIND",
    "HIGHEST",
    "LONGEST_S",
    "NULL",
    "TEXT",
    "Choice",
    "Flag",
    "Int",
    "Name",
    "Number",
    "Part",
    "Positive",
    "Seconds",
    "Settled",
    "Share",
    "Templated",
    "Text",
]

T = TypeVar("T")

Text = Annotated[str, Strict()]
Name = Annotated[str, Strict(), Field(min_length=1)]
LONGEST_S = 31_622_400  # 366 days: no load, wait or timeout is longer
HIGHEST = 1_000_000_000  # of whatever is counted, and of rates
Int = Annotated[int, Strict(), Field(ge=-(2**63), le=2**63 - 1)]
Flag = Annotated[bool, Strict()]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Seconds = Annotated[float, Strict(), Field(ge=0, le=LONGEST_S, allow_inf_nan=False)]
Positive = Annotated[float, Strict(), Field(gt=0, le=LONGEST_S, allow_inf_nan=False)]
Share = Annotated[float, Strict(), Field(ge=0, le=1, allow_inf_nan=False)]

# One JSON kind each; the words are what an author reads when a value is of none of the kinds allowed.
TEXT = Tag(f"{TAG}text")
A_NUMBER = Tag(f"{TAG}a number")
A_FLAG = Tag(f"{TAG}true or false")
A_LIST = Tag(f"{TAG}a list")
AN_OBJECT = Tag(f"{TAG}an object")
NULL = Tag(f"{TAG}null")
BY_KIND = Discriminator(lambda value: TAG + kind_of(value))


class Part(BaseModel):
    """One object of the script. `noun` names it in messages; `conflicts` holds the checks that look at several keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
    noun: ClassVar[str] = "this object"

    @classmethod
    def conflicts(cls, raw: dict[str, object]) -> Iterable[Fault]:
        """What is wrong between keys of `raw`, which is as the author wrote it: any key may be absent or of any type."""
        return ()

    @classmethod
    def keys(cls) -> list[str]:
        """The keys an author may write."""
        return [field.alias or name for name, field in cls.model_fields.items()]

    @model_validator(mode="wrap")
    @classmethod
    def _all_at_once(cls, data: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        found = list(cls.conflicts(data)) if isinstance(data, dict) else []
        try:
            part = handler(data)
        except ValidationError as error:
            # a model that refers to itself is wrapped twice, so the inner errors may hold `found` already
            raise bundle(dict.fromkeys([*faults_of(error, keys=cls.keys(), noun=cls.noun), *found])) from None
        if found:
            raise bundle(found)
        return part


@dataclass(frozen=True)
class Choice:
    """A word from a list, for `Annotated[str, Choice(…)]`; another word is answered with the nearest of them.

    `any_case` reads GET, Get and get alike and gives the word as the list has it.
    """

    what: str
    words: tuple[str, ...]
    any_case: bool = False

    def read(self, value: object) -> str:
        """The word meant; raises for any other."""
        if not isinstance(value, str):
            raise wrong(f"must be text, not {kind_of(value)}", f"allowed: {', '.join(self.words)}")
        known = {word.lower(): word for word in self.words} if self.any_case else {word: word for word in self.words}
        word = known.get(value.lower() if self.any_case else value)
        if word is not None:
            return word
        raise wrong(f"{shorten(value)} is not {a(self.what)}", suggest(value, self.words))

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, object]:
        if not self.any_case:
            return {"type": "string", "enum": list(self.words)}
        letters = ("".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else c for c in word) for word in self.words)
        # the plain words come first because editors offer them; the pattern takes every other spelling
        return {"type": "string", "anyOf": [{"enum": list(self.words)}, {"pattern": f"^({'|'.join(letters)})$"}]}


def _template_or_value(value: object) -> str:
    return f"{TAG}a placeholder" if whole(value) is not None else f"{TAG}value"


def _filled_in(text: str, info: ValidationInfo) -> str:
    if info.context and info.context.get("final"):
        raise wrong(f"still holds the placeholder {shorten(text)}", "its value must be known before the run starts")
    return text


_Placeholder = Annotated[str, Field(json_schema_extra={"pattern": r"^\$\{[^}]*\}$"}), Tag(f"{TAG}a placeholder")]
_Unfilled = Annotated[str, AfterValidator(_filled_in), Field(json_schema_extra={"pattern": r"^\$\{[^}]*\}$"}), Tag(f"{TAG}a placeholder")]

# A value of a step: it, or a string that is one whole placeholder, filled in for each hit.
Templated = Annotated[Annotated[T, Tag(f"{TAG}value")] | _Placeholder, Discriminator(_template_or_value)]
# A value of the test itself: may be a placeholder in the script, must be filled in when the context says {"final": True}.
Settled = Annotated[Annotated[T, Tag(f"{TAG}value")] | _Unfilled, Discriminator(_template_or_value)]
