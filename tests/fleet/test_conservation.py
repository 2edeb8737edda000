"""With any number of agents, either engine, users in a closed loop or a rate: what the target received is recorded, and only that."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.fleet.machines import AgentCommand, elsewhere, given_server
from tests.forked_engines import below_forked
from tests.load.harness import get
from tests.protocols.grpc.grpc_peer import PROTOS, GrpcShop
from tests.targets.fixture import Target

STEPS = [get("/ok"), get("/status/500")]
CLOSED = {"user_count": 11, "iterations": 20}
RATE = {"rate": {"mode": "constant", "rps": 100, "duration": 2}}


@pytest.fixture(scope="module")
def four_agents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server at which they wait, for one share each at a time."""
    folder = tmp_path_factory.mktemp("agents")
    with given_server(folder, most_bytes=2**33) as server, ExitStack() as stack:
        for one in [AgentCommand(folder, server.url, "--slots", "1", token=None, **below_forked()) for _ in range(4)]:
            stack.callback(one.stop)
            one.says("waiting for work")
        yield server.url


LOADS = {"closed loop": CLOSED, "rate": RATE}
ROWS = list(itertools.product((1, 2, 4), ("native", "fast_http_user"), LOADS))
NOT_LONG = [(1, "fast_http_user", "closed loop"), (2, "native", "closed loop"), (4, "native", "rate")]  # each value, and no more


@pytest.mark.parametrize(
    ("count", "user", "load"),
    [
        pytest.param(*row[:2], LOADS[row[2]], id="-".join(map(str, row)), marks=[] if row in NOT_LONG else [pytest.mark.long])
        for row in ROWS
    ],
)
def test_what_the_agents_recorded_is_what_the_target_received(
    count: int, user: str, load: dict[str, Any], four_agents: str, target: Target, tmp_path: Path
) -> None:
    target.reset()
    done = elsewhere(tmp_path, four_agents, count, STEPS, user=user, host=target.url, **load)
    assert done.error is None
    assert done.counts() == target.counts()
    workers = done.summary["workers"]
    assert [worker["state"] for worker in workers] == ["finished"] * count
    assert sum(worker["hits"] for worker in workers) == len(done.rows) == done.summary["totals"]["requests"]
    passes = done.run.totals().passes
    assert (passes.due, passes.lost, passes.started) == (220 if load is CLOSED else 200, 0, target.counts()["/ok"])
    if load is CLOSED:
        assert target.counts() == {"/ok": 220, "/status/500": 220}


def test_a_protocol_of_another_kind_is_made_by_agents_as_well(four_agents: str, shop: GrpcShop, tmp_path: Path) -> None:
    step = {"proto": str(PROTOS / "shop.proto"), "method": "shop.Shop/Get", "payload": {}}
    done = elsewhere(tmp_path, four_agents, 2, [step], user="grpc_user", host=shop.target, user_count=4, iterations=5)
    assert done.error is None
    assert len(shop.calls) == len(done.rows) == done.summary["totals"]["requests"] == 20
    assert done.summary["verdict"]["verdict"] == "passed"
    assert [worker["hits"] for worker in done.summary["workers"]] == [10, 10]
