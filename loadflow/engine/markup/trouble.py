"""Why a document is not looked at, or not to its end. The core says the same: `native/src/markup`."""

from __future__ import annotations

__all__ = ["MOST_NODES", "MarkupError", "TooLarge", "too_many"]

MOST_NODES = 100_000  # elements, attributes and texts of a document


class MarkupError(ValueError):
    """It is not what it says it is."""


class TooLarge(Exception):
    """It is larger than what is looked at. Its text says what is."""


def too_many() -> TooLarge:
    return TooLarge(f"the document in the body has over {MOST_NODES:,} elements, attributes and texts")
