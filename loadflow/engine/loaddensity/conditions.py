"""What a condition means in LoadDensity, written so that it means the same here.

There a placeholder is always text, and comparisons are strict about types: `["${var.five}", 5]` is never equal. Here text equals a
number that is written like it. So what can never hold there becomes `false`, and the rest stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable

from loadflow.engine.base.values import alike
from loadflow.engine.loaddensity.words import OPERATORS
from loadflow.engine.script.placeholders import has_placeholder

__all__ = ["condition"]

Say = Callable[[str, str], None]  # the key of a difference, and what it means here
Used = Callable[[object, object], None]  # a value of the condition, and what it is compared with


def condition(expression: object, say: Say, used: Used) -> object:
    """`expression` as it has to be written here; `say` receives each change, `used` each value that is compared or tested."""
    if isinstance(expression, float | list):
        say("condition-form", "a condition that is a list or a fraction never holds in LoadDensity")
        return False
    if not isinstance(expression, dict):
        used(expression, None)
        return expression
    if len(expression) == 1 and (word := next(iter(expression))) in ("not", "and", "or"):
        inner = expression[word]
        if word == "not":
            return {word: condition(inner, say, used)}
        return {word: [condition(one, say, used) for one in inner]} if isinstance(inner, list) else expression
    return _term(expression, say, used)


def _term(expression: dict[str, object], say: Say, used: Used) -> object:
    known = [key for key in expression if str(key).lower() in OPERATORS]
    if not known:
        say("condition-form", "a condition without a known operator never holds in LoadDensity")
        return False
    operator, operand = known[0].lower(), expression[known[0]]
    if operator == "truthy":
        used(operand, None)
    elif not isinstance(operand, list) or len(operand) != 2:
        say("condition-form", f"{operator} without two values never holds in LoadDensity")
        return False
    else:
        found = _in(*operand) if operator == "in" else _equals(*operand)
        if isinstance(found, bool):
            word = "always" if found is not (operator == "not_equals") else "never"
            say("condition-never", f"{operator} {word} holds in LoadDensity, where placeholders are text")
            return found is not (operator == "not_equals")
        if found != operand:
            say("condition-never", "only the texts of this list can be found in LoadDensity, where placeholders are text")
        used(*found)
        used(*reversed(found))
        operand = found
    if len(expression) > 1 or known[0] != operator:
        say("condition-form", f"LoadDensity looks at {known[0]!r} only")
    return {operator: operand}


def _equals(one: object, other: object) -> bool | list[object]:
    """Whether it is equal, where that is known and differs from what is said here; else the two as they are."""
    if isinstance(one, str) and isinstance(other, str):
        return [one, other]
    if isinstance(one, str) is isinstance(other, str):
        there = _is_fixed(one) and _is_fixed(other) and bool(one == other)
        return there if _is_fixed(one) and _is_fixed(other) and there is not alike(one, other) else [one, other]
    may_be = has_placeholder(one) or has_placeholder(other) or alike(one, other)
    return False if may_be else [one, other]


def _in(needle: object, haystack: object) -> bool | list[object]:
    if isinstance(needle, str):
        if not isinstance(haystack, list):
            return [needle, haystack]
        found = [item for item in haystack if isinstance(item, str) or not (has_placeholder(needle) or alike(needle, item))]
        return [needle, found] if found or not haystack else False
    if isinstance(haystack, list):
        if not _is_fixed(needle):
            return [needle, haystack]
        there = any(_is_fixed(item) and not isinstance(item, str) and item == needle for item in haystack)
        here = any(has_placeholder(item) or alike(item, needle) for item in haystack)
        return there if there is not here else [needle, haystack]
    if isinstance(haystack, str):
        return False
    return False if isinstance(haystack, dict) and any(alike(key, needle) for key in haystack) else [needle, haystack]


def _is_fixed(value: object) -> bool:
    """Whether there is no placeholder in it."""
    if isinstance(value, dict):
        return all(map(_is_fixed, value.values()))
    return all(map(_is_fixed, value)) if isinstance(value, list) else not has_placeholder(value)
