"""Fixtures that every test may use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.targets.fixture import Target


@pytest.fixture(scope="session")
def target() -> Iterator[Target]:
    """One recording server for all tests of a process; each test calls `target.reset()` first."""
    with Target() as target:
        yield target
