"""Fifteen nights of real loads on a real server whose service time is a variable: the step is found, and the night on which it came."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.session.execute import execute_action
from loadflow.engine.session.session import Session, use_session
from tests.targets.queueing import queueing_server

NIGHTS, FIRST_BAD = 15, 12


@pytest.mark.long
def test_a_step_in_a_chain_of_nights_is_found_with_its_night(tmp_path: Path) -> None:
    """The median of a fixed service time is little moved by a busy machine; with the step it is three times as long."""
    verdicts: list[dict[str, Any]] = []
    names: list[str] = []
    with queueing_server(20, 0.1, random=False) as server:
        test = {
            "label": "nightly",
            "user_detail_dict": {"user": "fast_http_user"},
            "rate": 40,
            "test_time": 2,
            "tasks": [{"method": "get", "request_url": server.url}],
            "rate_tolerance": 1.0,
            "revision": "${var.build}",
        }
        for night in range(NIGHTS):
            server.service_s = 0.3 if night >= FIRST_BAD else 0.1
            build = "2.0" if night >= FIRST_BAD else "1.9"
            with use_session(Session(runs_dir=tmp_path, variables={"build": build})) as session:
                results = execute_action([["LD_start_test", test], ["LD_judge", {"metrics": ["p50"], "floor": "10%"}]])
                results.raise_for_failure()
                verdicts.append(results.results[-1].value)
                names.append(session.all_runs[-1].facts.id)
    said = [one["verdict"] for one in verdicts]
    assert said[:10] == ["learning"] * 10
    assert "worse" not in said[10:FIRST_BAD], "before the step nothing is worse"
    assert said[-1] == "worse"
    first = verdicts[-1]["first_bad"]
    assert (first["run"], first["revision"]) == (names[FIRST_BAD], "2.0")
    assert verdicts[-1]["metrics"][0]["change"] > 0.3
