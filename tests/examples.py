"""With how many values a property is tried.

`make test-all` tries as many as the test says, `make test` half of them, `make test-thorough` ten times as many, other ones each time.
"""

from __future__ import annotations

import os

from tests.kinds import WITH_LONG

__all__ = ["examples"]

THOROUGH = os.environ.get("LOADFLOW_HYPOTHESIS") == "thorough"


def examples(count: int) -> int:
    """`count` where all tests run."""
    return count * 10 if THOROUGH else count if WITH_LONG else max(count // 2, 1)
