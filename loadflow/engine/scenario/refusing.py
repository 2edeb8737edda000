"""What is wrong with the keywords of `@scenario` and `@task`, and with the methods of a class: raised where the decorator stands."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from loadflow.engine.base.values import shown

__all__ = ["method_trouble", "nearest", "refuse_keywords", "refuse_method", "refuse_number", "refuse_thresholds", "refuse_weight"]

MOST_PER_S = 1_000_000.0
MOST_WEIGHT = 1_000_000_000
WHOLE = "a whole number of 1 or more"


def nearest(word: str, known: Iterable[str]) -> str:
    close = get_close_matches(word, known, 1)
    return f"did you mean {close[0]!r}?" if close else f"there are {', '.join(map(repr, known)) or 'none'}"


def refuse_number(name: str, value: object, what: str, is_right: Callable[[Any], bool]) -> None:
    """Raises ValueError for what is no number, or not `what` it must be."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not is_right(value):
        raise ValueError(f"{name} must be {what}, not {shown(value)}")


def refuse_keywords(
    rps: object, duration: object, ramp_up: object, mode: object, steps: object, users: object, modes: tuple[str, ...]
) -> None:
    """Raises ValueError for the first value that cannot be."""
    if not isinstance(mode, str) or mode not in modes:
        raise ValueError(f"mode {mode!r} is not known; {nearest(str(mode), modes)}")
    refuse_number("rps", rps, f"a number above 0 and at most {MOST_PER_S:,.0f}", lambda value: 0 < value <= MOST_PER_S)
    for name, value in (("duration", duration), ("ramp_up", ramp_up)):
        if not isinstance(value, str):
            refuse_number(name, value, 'a length of time, as "90s", "2m30s" or a number of seconds', lambda value: value >= 0)
    for name, value in (("steps", steps), ("users", users)):
        if value is not None or name == "steps":
            refuse_number(name, value, WHOLE, lambda value: isinstance(value, int) and value >= 1)


def refuse_thresholds(thresholds: object) -> None:
    """Raises ValueError for what is neither an object from names to numbers nor a list."""
    if not isinstance(thresholds, Mapping):
        if not isinstance(thresholds, list | tuple):
            example = '{"p99_ms": 250, "error_rate": 1} or ["p95 < 200"]'
            raise ValueError(f"thresholds are an object or a list, for example {example}, not {shown(thresholds)}")
        return
    for name, limit in thresholds.items():
        if not isinstance(name, str):
            raise ValueError(f"a threshold has a text as its name, not {shown(name)}")
        refuse_number(f"the threshold {name}", limit, "a number of 0 or more", lambda value: value >= 0)


def refuse_weight(weight: object) -> None:
    if isinstance(weight, bool) or not isinstance(weight, int) or not 0 <= weight <= MOST_WEIGHT:
        raise ValueError(f"the weight of a task is a whole number from 0 to {MOST_WEIGHT:,}, not {shown(weight)}")


def refuse_method(cls: type, name: str, takes: tuple[str, ...]) -> None:
    """Raises ValueError where a method of a class could never be called as it will be, with the user and what it `takes`."""
    found = inspect.getattr_static(cls, name, None)
    if trouble := method_trouble(found, takes):
        raise ValueError(f"{cls.__name__}.{name} {trouble}")


def method_trouble(found: object, takes: tuple[str, ...]) -> str:
    """Why it is no method that takes the user and these; "" where it is."""
    wanted = f"write def NAME(self, {', '.join(takes)})"
    if isinstance(found, staticmethod | classmethod | property):
        return f"is a {type(found).__name__}; {wanted}"
    if not callable(found) or not hasattr(found, "__get__"):  # what has none is not given its user
        return f"is {shown(found)}, and no method; {wanted}"
    if inspect.isgeneratorfunction(found) or inspect.isasyncgenfunction(found):
        return "yields, so nothing would run what is in it; make the requests in it, without yield"
    try:
        inspect.signature(found).bind(None, *takes)
    except TypeError:
        return f"does not take what it is given; {wanted}"
    except ValueError:  # it says nothing of its arguments
        return ""
    return ""
