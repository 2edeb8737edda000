"""A step of a protocol whose answers are bare messages: no status and no header fields, so nothing may be asked of those."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import ConfigDict
from pydantic.config import JsonDict

from loadflow.engine.protocols.model.step import StepBase
from loadflow.engine.script.mistakes import Fault

__all__ = ["MessageStep", "message_schema"]

NOT_THERE = ("status_code", "header")
_ANY_CASE = "^(" + "|".join("".join(f"[{c}{c.upper()}]" if c.isalpha() else c for c in word) for word in NOT_THERE) + ")$"


def _none_with(key: str) -> JsonDict:
    """The schema of a list in which no entry's `key` is one of `NOT_THERE`; other kinds of value are not its business."""
    return {"not": {"type": "array", "contains": {"type": "object", "properties": {key: {"pattern": _ANY_CASE}}, "required": [key]}}}


def message_schema() -> JsonDict:
    """What a model of a step adds to its JSON Schema: the same rule as `MessageStep.conflicts`."""
    return {"allOf": [{"properties": {"assertions": _none_with("type"), "extract": _none_with("from")}}]}


class MessageStep(StepBase):
    """Assertions and extracts look at the message alone."""

    model_config = ConfigDict(json_schema_extra=message_schema())

    @classmethod
    def conflicts(cls, raw: dict[str, object]) -> Iterable[Fault]:
        for key, word in (("assertions", "type"), ("extract", "from")):
            entries = raw.get(key)
            for index, entry in enumerate(entries if isinstance(entries, list) else ()):
                asked = entry.get(word) if isinstance(entry, dict) else None
                if isinstance(asked, str) and asked.lower() in NOT_THERE:
                    what = "status" if asked.lower() == "status_code" else "header fields"
                    yield Fault((key, index, word), f"{asked!r} has no meaning here: a message has no {what}", "look at its text or JSON")
