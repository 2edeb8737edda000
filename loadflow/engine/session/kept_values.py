"""How much of what actions return is kept until a script ends: a thousand lists of a million numbers would fill the memory."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

__all__ = ["KeptValues"]


class KeptValues:
    """Lets values of up to `most_bytes` through, all together; None: whatever they are. Not for objects that are no JSON.

    >>> kept = KeptValues(1_000)
    >>> kept.of([1, 2]), kept.of(list(range(100)))["left_out"]
    ([1, 2], True)
    """

    def __init__(self, most_bytes: int | None = None) -> None:
        self._left = most_bytes

    def of(self, value: Any) -> Any:
        """`value`, or what says that it was left out."""
        if self._left is None:
            return value
        size = _bytes(value, self._left)
        if size > self._left:
            return {"left_out": True, "hint": "too large to be kept: let the script write it to a file, or read the run folder"}
        self._left -= size
        return value


def _bytes(value: object, enough: int) -> int:
    """About how much memory a JSON value takes; what is over `enough` is not counted to its end."""
    size = 0
    pending = [value]
    while pending and size <= enough:
        one = pending.pop()
        size += sys.getsizeof(one)
        if isinstance(one, Mapping):
            pending.extend(one.keys())
            pending.extend(one.values())
        elif isinstance(one, list | tuple):
            pending.extend(one)
    return size
