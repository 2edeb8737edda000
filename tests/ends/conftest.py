"""The Prefect server that the worker shares, for all tests of ends; each test has a stage of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ends.processes import Stage, stage
from tests.prefect_servers import PrefectApi, shared_server
from tests.targets.fixture import Target


@pytest.fixture(scope="session")
def server() -> Iterator[PrefectApi]:
    server = shared_server()
    yield server
    server.close()


@pytest.fixture
def on_stage(server: PrefectApi, target: Target, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    target.reset()
    with stage(server, target, tmp_path, re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")) as made:
        yield made
