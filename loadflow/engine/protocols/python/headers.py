"""The header fields of an answer, as a function of Python sees them."""

from __future__ import annotations

from typing import Any

__all__ = ["Headers"]


class Headers:
    """Fields by name, in any case."""

    __slots__ = ("_reply",)

    def __init__(self, reply: Any) -> None:
        self._reply = reply

    def get(self, name: str, default: Any = None) -> Any:
        found = self._reply.header(name)
        return default if found is None else found

    def __getitem__(self, name: str) -> str:
        found: str | None = self._reply.header(name)
        if found is None:
            raise KeyError(name)
        return found

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._reply.header(name) is not None
