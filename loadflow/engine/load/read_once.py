"""What of a step is read once, before the load: its placeholders are filled in then, and what changes from hit to hit is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.base.values import text_of
from loadflow.engine.resolve.static import tokens_in
from loadflow.errors import CommandError, Mistake

__all__ = ["settled_once"]

# `method` and `service` are of gRPC: other protocols take words for them that hold no placeholder
WHOLE = ("stream", "framing", "delivery", "method", "service")
OF_ENTRIES: Mapping[str, Sequence[str]] = {"assertions": ("path", "name"), "extract": ("path", "name", "attribute")}

KNOWN = ("var", "env", "bad")  # of the last it is said elsewhere why it is none
CHANGES = "changes from hit to hit, and this is read once, before the load"
WAY_OUT = "write it out, or use ${var.…} or ${env.…} with a value that is known by then"

Settle = Callable[[object, Mapping[str, object], str], object]  # a value, what is known, a place; CommandError where that is not enough


def settled_once(
    steps: Sequence[JsonObject], variables: Mapping[str, object], settle: Settle, place: Callable[[int], str]
) -> tuple[JsonObject, ...]:
    """The steps with these parts as they are for all hits. `place`: where the script has the step of a position. Raises CommandError with
    all mistakes."""
    extracted = {(entry["var"],) for step in steps for entry in step.get("extract") or () if (entry.get("scope") or "var") == "var"}
    settled: list[JsonObject] = []
    mistakes: list[Mistake] = []
    for position, step in enumerate(steps):
        settled.append(dict(step))
        for holder, key, where in _parts(settled[-1], place(position)):
            tokens = list(tokens_in(holder[key]))
            changing = [one.text for one in tokens if one.kind not in KNOWN or one.parts[:1] in extracted]
            if changing:
                mistakes.append(Mistake(where, f"{changing[0]} {CHANGES}", WAY_OUT))
            elif tokens:
                try:
                    holder[key] = _as_written(holder[key], settle(holder[key], variables, where))
                except CommandError as error:
                    mistakes += error.mistakes
    if mistakes:
        raise CommandError(mistakes)
    return tuple(settled)


def _parts(step: JsonObject, place: str) -> Iterator[tuple[JsonObject, str, str]]:
    """What holds each part, its key, and its place."""
    for key in WHOLE:
        if step.get(key) is not None:
            yield step, key, f"{place}.{key}"
    for key, parts in OF_ENTRIES.items():
        if step.get(key):
            step[key] = [dict(entry) for entry in step[key]]
            for index, entry in enumerate(step[key]):
                yield from ((entry, part, f"{place}.{key}[{index}].{part}") for part in parts if entry.get(part) is not None)


def _as_written(written: Any, settled: Any) -> object:
    """What was written as text stays one, whatever the value of its placeholder is."""
    if isinstance(written, dict):
        return {key: _as_written(value, settled[key]) for key, value in written.items()}
    return text_of(settled) if isinstance(written, str) else settled
