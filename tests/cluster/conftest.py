"""Fixtures of the cluster tests."""

from __future__ import annotations

import pytest

from tests.cluster.machines import TOKEN
from tests.ends.processes import free_port


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    """Where the master listens; it holds the token of the tests."""
    monkeypatch.setenv("LOADFLOW_WORKER_TOKEN", TOKEN)
    return free_port()
