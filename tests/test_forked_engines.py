"""A load whose engines are forks is the same load: the target receives the same, and the run has the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.process import launch
from tests.forked_engines import start_forked
from tests.load.harness import get, load, post
from tests.targets.fixture import Target

STEPS = [
    get("/echo/${randint(1,999)}", name="seeded"),
    get("/ok", extract=[{"var": "status", "from": "status_code"}]),
    post("/echo", json={"was": "${status}", "who": "${faker.name}"}, name="extracted"),
    get("/status/503", retry={"transient": 1, "base_delay": 0.001}),
    get("/delay/2000", timeout=0.1, name="late"),
]


def made(target: Target, folder: Path, user: str, *, forked: bool, processes: int) -> Any:
    """What the server received, in no order as there may be several processes, and what was recorded."""
    target.reset()
    with pytest.MonkeyPatch.context() as patch:
        if forked:
            patch.setattr(launch, "start_supervisor", start_forked)
        done = load(folder, STEPS, user=user, host=target.url, iterations=2, seed=7, user_count=processes, processes=processes)
    received = sorted((one.method, one.target, sorted(one.headers), one.body) for one in target.records())
    return received, sorted((hit.name, hit.outcome, hit.status, hit.error, hit.flags) for hit in done.hits)


@pytest.mark.parametrize(("user", "processes"), [("native", 1), ("native", 2), ("fast_http_user", 1), ("fast_http_user", 2)])
def test_a_forked_engine_does_what_a_started_one_does(user: str, processes: int, target: Target, tmp_path: Path) -> None:
    started, forked = (made(target, tmp_path / str(one), user, forked=one, processes=processes) for one in (False, True))
    assert forked == started
    assert len(forked[1]) == 12 * processes
