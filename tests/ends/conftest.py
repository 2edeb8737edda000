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
def own_automations(server: PrefectApi) -> Iterator[None]:
    """Those that a test leaves would act on the runs of all later ones, a sixth of a second of the server's for each notification."""
    yield
    for one in server.ask("POST", "/automations/filter", {}):
        server.ask("DELETE", f"/automations/{one['id']}")


@pytest.fixture
def on_stage(own_automations: None, server: PrefectApi, target: Target, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    target.reset()
    with stage(server, target, tmp_path, re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")) as made:
        yield made
