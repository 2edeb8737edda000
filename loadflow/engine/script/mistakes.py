"""What is wrong, in the author's words: from a pydantic error to `Mistake`s with places.

The models say what is right; this module turns their errors into places as an author would write them
(`load_density[2].tasks[0].method`) and messages free of the validator's own vocabulary. Values that an author wrote are shown only
where they can't be secrets: words from a fixed list, and numbers out of bounds.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from loadflow.engine.base.counted import counted
from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.base.values import shown
from loadflow.errors import Mistake

__all__ = ["TAG", "Fault", "Loc", "bundle", "faults_of", "is_in", "kind_of", "mistakes_of", "place_of", "shorten", "suggest", "wrong"]

Loc = tuple[int | str, ...]

# Tags of discriminated unions start with this, so that they can be distinguished from keys and left out of places.
TAG = "⟨is⟩"

_PLAIN_KEY = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")
_LONGEST_WORD = 60
_LISTED_WORDS = 12


@dataclass(frozen=True, slots=True)
class Fault:
    """A mistake before it knows the root of its document: `loc` is the way from the validated value to the wrong one."""

    loc: Loc
    message: str
    hint: str = ""


def wrong(message: str, hint: str = "", *loc: int | str) -> ValidationError:
    """The error that a validator raises to complain about itself, or about what lies at `loc` below."""
    return bundle([Fault(loc, message, hint)])


def bundle(faults: Iterable[Fault]) -> ValidationError:
    """One error of several faults; outer validators put their own location before each."""
    details = [
        InitErrorDetails(
            type=PydanticCustomError("mistake", "{message}", {"message": fault.message, "hint": fault.hint}), loc=fault.loc, input=None
        )
        for fault in faults
    ]
    return ValidationError.from_exception_data("mistakes", details)


def faults_of(error: ValidationError, *, keys: Collection[str] = (), noun: str = "this object") -> list[Fault]:
    """The faults in `error`; `keys` and `noun` describe the outermost object, for advice about its unknown keys."""
    found = []
    for detail in error.errors(include_url=False):
        *way, last = detail["loc"] or (TAG,)
        loc = tuple(part for part in way if not _is_tag(part))
        if detail["type"] == "extra_forbidden":  # the last part is a key, whatever it looks like
            loc = (*loc, last)
            found.append(Fault(loc, f"{shorten(loc[-1])} is not a key of {noun}", suggest(str(loc[-1]), keys)))
        else:
            loc = loc if _is_tag(last) else (*loc, last)
            message, hint = _words(detail["type"], detail.get("ctx", {}), detail["input"], detail["msg"])
            found.append(Fault(loc, message, hint))
    return found


def mistakes_of(faults: Iterable[Fault], document: object, root: str) -> list[Mistake]:
    """Mistakes in the order of `document`, their places starting at `root`."""
    ordered = sorted(faults, key=lambda fault: _position(fault.loc, document))
    return [Mistake(place_of(root, fault.loc), fault.message, fault.hint) for fault in ordered]


def is_in(place: str, outer: str) -> bool:
    """Whether `place` is `outer` or something in it.

    >>> is_in("actions[1].tasks", "actions[1]"), is_in("actions[10]", "actions[1]"), is_in("names", "name")
    (True, False, False)
    """
    return place.startswith(outer) and place[len(outer) :][:1] in ("", ".", "[")


def place_of(root: str, loc: Sequence[int | str]) -> str:
    """The path as an author would write it.

    >>> place_of("load_density[2]", ("tasks", 0, "headers", "X Id"))
    "load_density[2].tasks[0].headers['X Id']"
    """
    place = root
    for part in loc:
        if isinstance(part, int):
            place += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            place += f".{part}" if place else part
        else:
            place += f"[{shorten(part)}]"
    return place


def suggest(word: str, allowed: Collection[str], label: str = "allowed") -> str:
    """The way out for a wrong word: the nearest right one, else the list of them, shortened when long."""
    names = list(dict.fromkeys(allowed))
    by_lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(word[:_LONGEST_WORD].lower(), by_lower, n=1)
    if not close:  # 'status' for 'status_code' is too short for difflib's cut-off, and what people write most
        close = [name for name in by_lower if len(word) > 2 and (name.startswith(word.lower()) or word.lower().startswith(name))][:1]
    if close:
        return f"did you mean {by_lower[close[0]]!r}?"
    if not names:
        return "nothing is allowed here"
    shown = ", ".join(names[:_LISTED_WORDS])
    return f"{label}: {shown}" + (f" and {len(names) - _LISTED_WORDS} more" if len(names) > _LISTED_WORDS else "")


def shorten(value: object) -> str:
    """A word the author wrote, quoted and cut to a bearable length; any other value as JSON."""
    if not isinstance(value, str):
        return shown(value)
    return repr(value if len(value) <= _LONGEST_WORD else value[: _LONGEST_WORD - 1] + "…")


def kind_of(value: object) -> str:
    """What a JSON value is, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, list | tuple):
        return "a list"
    return "an object"


_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "an object",
    "mapping_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "none_required": "null",
}
_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def _words(kind: str, context: JsonObject, value: object, fallback: str) -> tuple[str, str]:
    if kind == "mistake":
        return context["message"], context["hint"]
    if kind == "missing":
        return "is missing", ""
    if kind in _WANTED:
        return f"must be {_WANTED[kind]}, not {_shown(value)}", ""
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return f"must be {words} {_shown(context[key])}, not {_shown(value)}", ""
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        wanted = [part.removeprefix(TAG) for part in re.findall(r"'([^']*)'", context.get("expected_tags", ""))]
        return f"must be {_either(wanted)}, not {_shown(value)}", ""
    if kind in ("too_short", "string_too_short"):
        least = context["min_length"]
        return (
            "must not be empty" if least == 1 else f"must have at least {counted(least, 'item')}, not {context.get('actual_length')}"
        ), ""
    if kind in ("too_long", "string_too_long"):
        return f"must have at most {counted(context['max_length'], 'item')}", ""
    if kind == "literal_error":
        return f"must be {context['expected']}", ""
    return fallback[:1].lower() + fallback[1:], ""


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int) and abs(value) < 10**18:
        return str(value)
    return kind_of(value)


def _either(wanted: Sequence[str]) -> str:
    words = [word for phrase in wanted for word in (["true", "false"] if phrase == "true or false" else (phrase,))]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}" if words else "something else"


def _is_tag(part: int | str) -> bool:
    return isinstance(part, str) and (part.startswith(TAG) or part == "[key]")


def _position(loc: Loc, document: object) -> tuple[int, ...]:
    """Where `loc` is in reading order; a missing key comes after those that are there.

    In an action, which is a list, a key of `loc` names an argument or is one of the words `arguments` and `policy`.
    """
    steps: list[int] = []
    for part in loc:
        if isinstance(document, list) and isinstance(part, str):
            element = 2 if part == "policy" else 1
            document = document[element] if len(document) > element else None
            steps.append(element)
            if not isinstance(document, dict):
                steps.append(0 if part in ("arguments", "policy") else sys.maxsize)
                continue
            if part == "policy":
                continue
        if isinstance(document, dict):
            keys = list(document)
            steps.append(keys.index(part) if part in document else len(keys))
            document = document.get(part)
        else:
            steps.append(part if isinstance(part, int) else 0)
            document = document[part] if isinstance(document, list) and isinstance(part, int) and part < len(document) else None
    return tuple(steps)
