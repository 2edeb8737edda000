"""By this plugin a pytest session keeps its word: see `tests.leftovers`."""

from __future__ import annotations

import atexit
import os
import sys

import pytest

from tests.leftovers import Guard


def pytest_configure(config: pytest.Config) -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ:  # a worker has the mark of the process that started it
        # what is registered first is called last: after libraries have ended the servers that they hold until this process ends
        atexit.register(_end, Guard())


def _end(guard: Guard) -> None:
    left = guard.close()
    for line in left:
        print(f"left running by the tests, and ended now: {line}", file=sys.stderr)
    if left:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)
