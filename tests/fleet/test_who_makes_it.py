"""What a script's `workers` and the options beside `--workers` mean, and how agents that a pool has started get in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

from loadflow.cli.options import RunOptions
from loadflow.engine.fleet.access import CREDENTIALS_VARIABLE, URL_VARIABLE, Keys
from loadflow.engine.fleet.keys import TOKEN_VARIABLE, listen_address
from loadflow.engine.fleet.lease import Served, Standing
from loadflow.engine.fleet.members import flow_run_of
from loadflow.engine.fleet.serving import pool_access
from loadflow.engine.load.build import build_plan
from loadflow.engine.load.start import start_test
from loadflow.engine.plan.cluster import POOL_STARTUP_S, STARTUP_S, Cluster, Workers
from loadflow.engine.plan.target import TargetRules
from loadflow.engine.resolve.variables import Variables
from loadflow.engine.session.session import Session, use_session
from loadflow.errors import CommandError
from loadflow.flows.agent_run import end_of, told

TOKEN = "a token of these tests"
URL = "nats://10.0.0.5:4222"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (URL_VARIABLE, CREDENTIALS_VARIABLE, TOKEN_VARIABLE):
        monkeypatch.delenv(name, raising=False)


def test_of(**more: Any) -> dict[str, Any]:
    return {"user_detail_dict": {"user": "fast_http_user"}, "tasks": [{"method": "get", "request_url": "http://127.0.0.1:1/"}], **more}


test_of.__test__ = False  # type: ignore[attr-defined]


def cluster(given: Workers | None = None, **more: Any) -> Cluster:
    secrets = {"the-block": TOKEN, "weak": "abc"}

    def secret(name: str) -> str:
        try:
            return secrets[name]
        except KeyError:
            raise LookupError(f"no secret {name!r}") from None

    found = build_plan(test_of(**more), Variables(), {}, TargetRules(), secret, workers=given).cluster
    assert found is not None
    return found


def test_a_count_alone_is_agents_of_this_machine() -> None:
    found = cluster(workers={"count": 4})
    assert (found.expected, found.children, found.url, found.pool, found.startup_s) == (4, 4, None, "", STARTUP_S)


def test_a_script_wins_over_the_command_line() -> None:
    assert cluster(Workers(2), workers={"count": 4}).expected == 4


def test_a_pool_starts_the_agents_and_has_longer_for_it() -> None:
    found = cluster(workers={"pool": "k8s-load", "count": 8, "block": "the-block"})
    assert (found.pool, found.expected, found.children, found.token, found.startup_s) == ("k8s-load", 8, 0, TOKEN, POOL_STARTUP_S)
    assert cluster(workers={"pool": "k8s-load", "count": 8, "nats_url": URL}, worker_startup_timeout=7).startup_s == 7
    assert cluster(workers={"pool": "k8s-load", "count": 8, "nats_url": URL}).url == URL


def test_who_listens_for_agents_of_other_machines_needs_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CommandError, match=r"'\*' is more than this machine, and there is no token"):
        cluster(workers={"count": 2, "listen": "*:4999"})
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    found = cluster(workers={"count": 2, "listen": "*:4999"})
    assert (found.host, found.port, found.token, found.children) == ("*", 4999, TOKEN, 0)
    assert cluster(Workers(2, listen=("127.0.0.1", 4999), external=True)).children == 0


WRONG = [
    ({"count": 0}, "workers.count"),
    ({"pool": "p"}, "workers.count"),
    ({"count": 2, "listen": "*", "nats_url": URL}, "remove one of the two"),
    ({"count": 2, "block": "the-block"}, "no pool and no listen is given"),
    ({"count": 2, "pool": "p", "block": "gone"}, "no secret 'gone'"),
    ({"count": 2, "pool": "p", "block": "weak"}, "has 3 characters"),
    ({"count": 2, "pool": "p", "nats_url": "nats://me:secret@10.0.0.5:4222"}, "holds a password"),
    ({"count": 2, "listen": "a:b:c"}, "'a:b:c' is not an address"),
]


@pytest.mark.parametrize(("workers", "says"), WRONG, ids=[row[1] for row in WRONG])
def test_what_can_not_be_meant_is_said_before_anything_starts(workers: dict[str, Any], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        cluster(workers=workers)


def test_runner_mode_and_workers_are_two_answers_to_one_question() -> None:
    with pytest.raises(CommandError, match="and so does runner_mode 'master'"):
        cluster(workers={"count": 2}, runner_mode="master")


def test_a_pool_needs_a_flow_run(tmp_path: Path) -> None:
    with use_session(Session(runs_dir=tmp_path)), pytest.raises(CommandError, match="a work pool is Prefect's, and this is no flow run"):
        start_test(**test_of(workers={"count": 2, "pool": "p", "nats_url": URL}))
    assert list(tmp_path.iterdir()) == []


OPTIONS = [
    ({"nats_url": URL}, "--nats-url needs --workers"),
    ({"pool": "p"}, "--pool needs --workers"),
    ({"listen": "*"}, "--listen needs --workers"),
    ({"workers": 2, "listen": "*"}, "add --external-agents or --pool"),
    ({"workers": 2, "listen": "*", "nats_url": URL, "external_agents": True}, "--nats-url names another one"),
    ({"workers": 2, "external_agents": True}, "--external-agents needs --nats-url URL, where the agents wait, or --listen"),
    ({"workers": 2, "pool": "p", "direct": True}, "which --direct leaves out"),
]


@pytest.mark.parametrize(("options", "says"), OPTIONS, ids=[row[1] for row in OPTIONS])
def test_options_that_contradict_each_other(options: dict[str, Any], says: str) -> None:
    with pytest.raises(click.UsageError, match=says):
        RunOptions({}, **options).agents()


def test_options() -> None:
    assert RunOptions({}, workers=2, pool="p").agents() == Workers(2, pool="p")
    assert RunOptions({}, workers=2, external_agents=True, listen="[::1]").agents() == Workers(2, listen=("::1", 4222), external=True)
    assert listen_address("*:0", "--listen") == ("*", 0)


def test_the_ways_in_of_an_agent_of_a_pool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keys = Keys.of(TOKEN)
    # the load's own server: by the token of a block, or of the environment; encrypted beyond loopback
    for secret in (TOKEN, ""):
        monkeypatch.setenv(TOKEN_VARIABLE, "another token" if secret else TOKEN)
        own = pool_access("tls://10.0.0.5:4999", own=True, secret=secret)
        assert (own.url, own.seed, own.authority) == ("tls://10.0.0.5:4999", keys.agent, keys.authority)
    assert pool_access("nats://127.0.0.1:4999", own=True, secret=TOKEN).url == "nats://127.0.0.1:4999"
    with pytest.raises(CommandError, match="has 3 characters"):
        pool_access("nats://127.0.0.1:4999", own=True, secret="abc")
    # another server: by a URL, a seed or a credentials file in a block, or by the environment
    assert pool_access(URL, own=False, secret="nats://me:pass@nats:4222\n").url == "nats://me:pass@nats:4222"
    assert pool_access(URL, own=False, secret=keys.agent).options()["nkeys_seed_str"] == keys.agent
    text = "-----BEGIN NATS USER JWT-----\nabc\n------END NATS USER JWT------\n"
    assert str(pool_access(URL, own=False, secret=text).options()["user_credentials"]) == text.strip()
    assert pool_access(URL, own=False, secret="").url == URL
    monkeypatch.setenv(URL_VARIABLE, "nats://me:pass@nats:4222")
    (tmp_path / "user.creds").write_text(text)
    monkeypatch.setenv(CREDENTIALS_VARIABLE, str(tmp_path / "user.creds"))
    access = pool_access(URL, own=False, secret="")
    assert (access.url, access.place, access.credentials) == ("nats://me:pass@nats:4222", "nats://nats:4222", str(tmp_path / "user.creds"))
    assert "pass" not in access.place
    assert keys.agent not in repr(own)


ENDS = [
    ([], "", "Completed", "no share was left for it"),
    ([Served("r", 40, "", 1)], "", "Completed", "1 share (2), 40 hits, all received"),
    (
        [Served("r", 40, "", 1)],
        "the flow run above this one is cancelled",
        "Cancelled",
        "the flow run above this one is cancelled; 1 share (2)",
    ),
    ([Served("r", 40, "", 1, "its engine was killed by SIGKILL")], "", "Failed", "share 2: its engine was killed by SIGKILL; 1 share (2)"),
    ([Served("r", 40, "the hits are in /tmp/x", 1)], "SIGTERM", "Undelivered", "share 2: the hits are in /tmp/x"),
]


@pytest.mark.parametrize(("served", "stopped", "name", "message"), ENDS, ids=[row[3] for row in ENDS])
def test_the_state_of_an_agents_flow_run_says_what_became_of_its_shares(
    served: list[Served], stopped: str, name: str, message: str
) -> None:
    state = end_of(served, stopped)
    assert (state.name, (state.message or "")[: len(message)]) == (name, message)


def test_what_a_share_is_at_in_a_few_words() -> None:
    assert told(Standing(2, 8, "running", 4711, 12.0, 60.0)) == "share 3 of 8 · running · 0:12 of 1:00 · 4,711 hits · 393/s"
    assert told(Standing(0, 1, "loading", 0, 0.0, None)) == "share 1 of 1 · loading · 0 hits"


def test_only_an_id_is_taken_for_a_flow_run() -> None:
    assert flow_run_of({"flow_run": "4f8a7c1e-1111-4222-8333-944455556666"})
    assert [flow_run_of(asked) for asked in ({}, {"flow_run": ""}, {"flow_run": "](http://evil.example)"}, {"flow_run": 5})] == [""] * 4
