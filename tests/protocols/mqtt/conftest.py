"""Both engines, for all tests of this folder."""

from __future__ import annotations

import pytest

from tests.load.harness import ENGINES


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)
