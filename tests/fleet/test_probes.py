"""The files by which Kubernetes sees how an agent is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loadflow.engine.fleet.access import URL_VARIABLE, agent_permissions, given_access
from loadflow.engine.fleet.probes import Probes
from loadflow.errors import CommandError
from tests.test_chart import CHART


def test_ready_is_there_while_the_agent_is_registered_and_alive_from_the_start(tmp_path: Path) -> None:
    probes = Probes(tmp_path / "probes")
    seen = []
    for ready in (False, True, True, False):
        probes.tell(ready=ready)
        seen.append(((tmp_path / "probes" / "alive").exists(), (tmp_path / "probes" / "ready").exists()))
    assert seen == [(True, False), (True, True), (True, True), (True, False)]


def test_an_agent_that_no_one_looks_at_writes_no_file(tmp_path: Path) -> None:
    Probes(None).tell(ready=True)
    assert list(tmp_path.iterdir()) == []


def test_a_password_may_stand_in_the_environment_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "nats://agent:pass-w0rd@127.0.0.1:4222"
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    with pytest.raises(CommandError, match="holds a password"):
        given_access(url, None, "--nats-url")
    monkeypatch.setenv(URL_VARIABLE, url)
    access = given_access(url, None, "--nats-url")
    assert (access.url, access.place) == (url, "nats://127.0.0.1:4222")


def test_the_chart_gives_agents_the_permissions_that_a_server_of_our_own_gives_them() -> None:
    assert json.loads((CHART / "files" / "agent_permissions.json").read_text(encoding="utf-8")) == agent_permissions()
