"""Agents in a Docker work pool: Prefect's own worker starts a container of each, here by podman's Docker socket.

With the image of `make image`: the one that LOADFLOW_IMAGE names, or that of `make test-kubernetes`, which runs these tests, too.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.base.verdict import VerdictKind
from tests.ends.deploying import python
from tests.ends.pools import SECRET, agents_end, books, keep_token, worker_states, workers
from tests.ends.processes import Stage
from tests.kubernetes import podman
from tests.prefect_database import OF_CONTAINERS
from tests.prefect_servers import START_S
from tests.services import need
from tests.waiting import wait_for

pytestmark = [pytest.mark.processes, pytest.mark.prefect, pytest.mark.long]

TEMPLATE = Path(__file__).resolve().parents[2] / "deployments" / "work-pools" / "docker.json"
IMAGE = os.environ.get("LOADFLOW_IMAGE", "localhost/loadflow:kubernetes-test")
# the first process of a PID namespace takes all containers with it; podman's locks are in /dev/shm
OWN = (
    "unshare",
    "--pid",
    "--mount",
    "--ipc",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "sh",
    "-c",
    'mount -t tmpfs none /dev/shm && exec "$@"',
    "sh",
)


class Podman:
    """A Docker socket, and what is behind it."""

    def __init__(self, folder: Path) -> None:
        self.socket = f"unix://{folder}/docker.sock"
        self._env = {**os.environ, **podman.settings(folder / "podman")}
        command = [*OWN, "podman", "system", "service", "--time=0", self.socket]
        with (folder / "podman.log").open("wb") as log:
            self._service = subprocess.Popen(command, env=self._env, stdout=log, stderr=log)
        wait_for("podman's Docker socket", lambda: Path(folder, "docker.sock").exists(), START_S)

    def names(self) -> list[str]:
        return self("ps", "--format", "{{.Names}}").split()

    def __call__(self, *arguments: str) -> str:
        """What podman says, asked by the socket: it knows the containers of that namespace."""
        command = ["podman", "--remote", "--url", self.socket, *arguments]
        return subprocess.run(command, env=self._env, capture_output=True, text=True, check=True).stdout

    def close(self) -> None:
        self._service.kill()
        self._service.wait()


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    need(shutil.which("podman") and shutil.which("runc"), "podman is not installed (Debian: apt-get install podman runc)")
    need(os.geteuid() == 0, "containers of one's own need root")
    there = subprocess.run(["podman", "image", "exists", IMAGE], check=False).returncode == 0
    need(there, f"the image {IMAGE} is not here: make image TAG={IMAGE}")
    need(importlib.util.find_spec("prefect_docker"), "prefect-docker is not installed: pip install 'loadflow[docker]'")
    service = Podman(tmp_path_factory.mktemp("docker"))
    yield service
    service.close()


@pytest.fixture
def pool(on_stage: Stage, docker: Podman) -> Iterator[Stage]:
    """As docs/work-pools.md says to set one up; on the network of this machine, where Prefect's server is."""
    name = on_stage.name
    keep_token(on_stage)
    python(on_stage, "-m", "prefect", "work-pool", "create", "--type", "docker", "--base-job-template", str(TEMPLATE), name)
    given = ["--job-variable", f"image={IMAGE}", "--job-variable", "networks=[]", "--job-variable", "network_mode=host"]
    python(on_stage, "-m", "loadflow", "deploy", "--agent", "--pool", name, *given)
    on_stage.settings = {"DOCKER_HOST": docker.socket, **OF_CONTAINERS}
    on_stage.start("worker", [sys.executable, "-m", "prefect", "worker", "start", "--pool", name, "--type", "docker"])
    yield on_stage


def load(pool: Stage) -> list[Any]:
    return pool.rate_script(50, 60, workers=workers(pool))


def test_agents_are_containers_and_one_that_is_killed_is_taken_over(pool: Stage, docker: Podman) -> None:
    process = pool.start_flow(load(pool))
    pool.wait_for_load(300)
    victim, other = docker.names()
    shown = docker("inspect", victim, other)
    assert all(one["Config"]["User"] == "10001" for one in json.loads(shown))
    assert SECRET not in shown
    docker("kill", "--signal", "KILL", victim)
    assert process.wait(timeout=START_S) != 0
    summary = books(pool, 3000)
    assert summary.passes.lost > 0
    assert summary.verdict.kind is VerdictKind.INCONCLUSIVE
    assert worker_states(summary) == [("finished", False), ("finished", True), ("lost", False)]
    agents_end(pool, "Completed", "Crashed")
    wait_for("the end of all containers", lambda: docker.names() == [], START_S)


def test_a_container_that_is_stopped_delivers_and_another_goes_on(pool: Stage, docker: Podman) -> None:
    process = pool.start_flow(load(pool))
    pool.wait_for_load(300)
    docker("stop", "--time", "30", docker.names()[0])
    process.wait(timeout=START_S)
    summary = books(pool, 3000)
    assert summary.overall.count == len(pool.arrivals_ns())
    assert worker_states(summary) == [("finished", False), ("finished", True), ("left", False)]
    agents_end(pool, "Cancelled", "Completed")
