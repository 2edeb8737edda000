"""Populations that agents make: each divided among agents of its own, all on one clock."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.load.start import start_test
from loadflow.engine.records.run import Run
from loadflow.engine.session.session import Session, use_session
from loadflow.errors import CommandError
from tests.cli.running import loadflow
from tests.fleet.machines import TOKEN, agents, given_server
from tests.load.harness import Outcomes, balance, detail, get
from tests.load.test_populations import QUICK, Watch
from tests.services import free_port
from tests.targets.fixture import Target

TWO: list[dict[str, Any]] = [
    {"name": "browse", "tasks": [get("/ok?browse", name="page")], **QUICK, "user_count": 4},
    {"name": "buy", "tasks": [get("/status/500", name="page")], "rate": {"mode": "constant", "rps": 10, "duration": 1}, "user_count": 2},
]


def begun_unix_ns(run: Run) -> int:
    """When its load began, by the logs that agents sent."""
    from loadflow.engine.records.hitlog import read_header

    return read_header(run.hits_path(0)).origin_unix_ns


def test_each_population_is_divided_among_agents_and_all_begin_at_once(target: Target, tmp_path: Path) -> None:
    target.reset()
    watch = Watch()
    with use_session(Session(runs_dir=tmp_path / "runs", observers=[watch])) as session:
        summary = start_test(detail("native"), populations=TWO, host=target.url, workers={"count": 2})
    runs = {run.facts.population: run for run in session.runs}
    for name, run in runs.items():
        balance(Outcomes(run, {}, None, watch.seconds[name]))
        assert [worker.state.value for worker in run.workers()] == ["finished"] * 2
    assert target.counts() == {"/ok": 12, "/status/500": 10}
    assert {name: one["totals"]["requests"] for name, one in summary["populations"].items()} == {"browse": 12, "buy": 10}
    assert summary["totals"]["requests"] == 22
    assert len(summary["workers"]) == 4
    begun = [begun_unix_ns(run) for run in runs.values()]
    assert abs(begun[0] - begun[1]) < 50e6, "within what clocks of agents are known to"


@pytest.mark.long
def test_agents_at_a_server_of_ones_own_take_shares_of_all_populations(target: Target, tmp_path: Path) -> None:
    """Two agents of two slots, four shares."""
    target.reset()
    with given_server(tmp_path, most_bytes=2**28) as access:
        port = int(access.url.rpartition(":")[2])
        with agents(tmp_path, port, 2, "--slots", "2"), use_session(Session(runs_dir=tmp_path / "runs")) as session:
            workers = {"count": 2, "nats_url": access.url}
            summary = start_test(detail("native"), populations=TWO, host=target.url, workers=workers, worker_startup_timeout=200)
    assert target.counts() == {"/ok": 12, "/status/500": 10}
    assert {name: one["totals"]["requests"] for name, one in summary["populations"].items()} == {"browse": 12, "buy": 10}
    for run in session.runs:
        assert [worker.state.value for worker in run.workers()] == ["finished"] * 2
    begun = [begun_unix_ns(run) for run in session.runs]
    assert abs(begun[0] - begun[1]) < 50e6, "within what clocks of agents are known to"


@pytest.mark.long
def test_the_command_divides_populations(target: Target, tmp_path: Path) -> None:
    target.reset()
    script = [["LD_start_test", {"user_detail_dict": {"user": "fast_http_user"}, "host": target.url, "populations": TWO[:1]}]]
    (tmp_path / "script.json").write_text(json.dumps(script))
    done = loadflow(tmp_path, "run", "script.json", "--direct", "--workers", "2", "--json")
    assert done.json["summary"]["totals"]["requests"] == 12, done.stderr
    assert len(done.json["summary"]["workers"]) == 2


def test_agents_that_come_to_the_test_s_own_server_take_shares_of_all_populations(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One server for all of them, at the place that agents were told."""
    target.reset()
    port = free_port()
    monkeypatch.setenv("LOADFLOW_WORKER_TOKEN", TOKEN)
    with agents(tmp_path, port, 2, "--slots", "2"), use_session(Session(runs_dir=tmp_path / "runs")) as session:
        workers = {"count": 2, "listen": f"127.0.0.1:{port}"}
        summary = start_test(detail("native"), populations=TWO, host=target.url, workers=workers, worker_startup_timeout=200)
    assert target.counts() == {"/ok": 12, "/status/500": 10}
    assert {name: one["totals"]["requests"] for name, one in summary["populations"].items()} == {"browse": 12, "buy": 10}
    for run in session.runs:
        assert [worker.state.value for worker in run.workers()] == ["finished"] * 2


def test_a_pool_of_prefect_s_is_refused_outside_of_a_flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADFLOW_WORKER_TOKEN", TOKEN)
    with use_session(Session(runs_dir=tmp_path)), pytest.raises(CommandError) as caught:
        start_test({}, populations=TWO, host="http://127.0.0.1:1", workers={"count": 2, "pool": "agents"})
    assert str(caught.value.mistakes[0]).startswith("LD_start_test.workers.pool: a work pool is Prefect's, and this is no flow run")
