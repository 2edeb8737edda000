"""Where the secrets of a load may be: in the memory of those who make it, and on the private disk of an agent. Nowhere else."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from loadflow.engine.fleet.access import Keys
from tests.fleet.machines import TOKEN, InBackground, agents
from tests.fleet.test_losses import received
from tests.load.harness import get
from tests.targets.fixture import Target
from tests.waiting import wait_for

SECRET = "a-secret-of-the-plan-2718281828"


@pytest.mark.parametrize("user", ["native", pytest.param("fast_http_user", marks=pytest.mark.long)])
def test_no_secret_is_on_a_command_line_or_on_the_disk_of_the_server(
    user: str, target: Target, tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looked for while the load runs, when the plan and its secret have been everywhere where they have to be."""
    monkeypatch.setenv("LOADFLOW_SECRET_BEARER", SECRET)
    target.reset()
    step = get("/ok", headers={"Authorization": "Bearer ${secret.bearer}"})
    keys = Keys.of(TOKEN)
    with agents(tmp_path, port, 2):
        given = {"host": target.url, "user_count": 2, "iterations": None, "test_time": 6, "wait_time": 0.02}
        loading = InBackground(tmp_path, port, 2, [step], user=user, **given)
        wait_for("hits", lambda: received(target) > 50, 200)
        lines = ["\0".join(one.cmdline()) for one in psutil.Process().children(recursive=True)]
        (broker,) = tmp_path.glob("runs/*/broker")
        on_disk = {path: path.read_bytes() for path in broker.rglob("*") if path.is_file()}
        assert loading.done.error is None
    assert {record.header("Authorization") for record in target.records()} == {f"Bearer {SECRET}"}
    assert any("nats-server" in line for line in lines)
    assert any("loadflow.engine.entry" in line for line in lines)
    secrets = (SECRET, TOKEN, keys.agent, keys.coordinator)
    assert [line for line in lines if any(secret in line for secret in secrets)] == []
    assert len(on_disk) > 3  # settings, and streams with rows
    assert [path for path, data in on_disk.items() if any(secret.encode() in data for secret in secrets)] == []
