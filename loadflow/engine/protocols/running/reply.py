"""What the replies of all protocols have alike: JSON that is parsed once, and header fields that may be repeated."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["ReplyParts", "joined"]


class ReplyParts:
    """The parts of `seam.Reply` that follow from two others: `header_lines`, and `parsed`, which reads the body as JSON."""

    __slots__ = ("_json",)

    def __init__(self) -> None:
        self._json: Any = None

    def parsed(self) -> object:
        """Raises ValueError when the body is not JSON."""
        raise NotImplementedError

    def header_lines(self, name: str) -> list[str]:
        """A protocol without header fields has none of any name."""
        return []

    def json(self) -> Any:
        """What `parsed` gave the first time. Raises what it raises."""
        if self._json is None:
            self._json = self.parsed()
        return self._json

    def header(self, name: str) -> str | None:
        """The value of a header field, repeated fields joined by a comma; None when it is not there."""
        found = self.header_lines(name)
        return ", ".join(found) if found else None


def joined(fields: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Header fields by their names, the values of repeated ones joined by a comma.

    >>> joined([("vary", "accept"), ("age", "3"), ("vary", "cookie")])
    {'vary': 'accept, cookie', 'age': '3'}
    """
    lines: dict[str, list[str]] = {}
    for name, value in fields:
        lines.setdefault(name, []).append(value)
    return {name: ", ".join(values) for name, values in lines.items()}
