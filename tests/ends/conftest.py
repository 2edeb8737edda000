"""One Prefect server for all tests of ends; each test has a stage of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ends.processes import PrefectServer, Stage, stage
from tests.targets.fixture import Target


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    server = PrefectServer(tmp_path_factory.mktemp("prefect-server"))
    yield server
    server.stop()


@pytest.fixture
def on_stage(server: PrefectServer, target: Target, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    target.reset()
    with stage(server, target, tmp_path, re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")) as made:
        yield made
