"""JSON paths as the native core takes them."""

from __future__ import annotations

from loadflow.engine.base.json_path import JsonKey, parts_of

__all__ = ["cut_of"]


def cut_of(path: str) -> list[object]:
    """As the core reads it: a number is a place in a list, a text a key or both, a text in a list a key only."""
    return [[part] if isinstance(part, JsonKey) else part for part in parts_of(path)]
