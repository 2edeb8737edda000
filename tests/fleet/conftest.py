"""Fixtures of the fleet tests."""

from __future__ import annotations

import pytest

from tests.fleet.machines import TOKEN
from tests.services import free_port


@pytest.fixture
def port(forked_below: None, monkeypatch: pytest.MonkeyPatch) -> int:
    """Where the NATS server of a load listens; it holds the token of the tests."""
    monkeypatch.setenv("LOADFLOW_WORKER_TOKEN", TOKEN)
    return free_port()
