"""With how many values a property is tried: few with every change, ten times as many by `make test-thorough`, other ones each time."""

from __future__ import annotations

import os

__all__ = ["examples"]

MORE = 10 if os.environ.get("LOADFLOW_HYPOTHESIS") == "thorough" else 1


def examples(count: int) -> int:
    """`count` with every change."""
    return MORE * count
