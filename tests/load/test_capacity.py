"""A probe of LD_find_capacity as a real load, against a server with known slots."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from loadflow.cli import main
from loadflow.engine.history.capacity import Wanted
from loadflow.engine.load.capacity import _made
from loadflow.engine.records.threshold import parse_expression
from loadflow.engine.session.session import Session, use_session
from tests.targets.queueing import queueing_server

LIMIT = parse_expression("p95 < 1 s")


@pytest.mark.parametrize(("rate", "holds"), [(15.0, True), (300.0, False)], ids=["what it bears", "six times as much"])
def test_a_probe_says_whether_the_limits_hold(rate: float, holds: bool, tmp_path: Path) -> None:
    """Two slots of 40 ms serve 50 requests per second."""
    with queueing_server(2, 0.04, random=False) as server, use_session(Session(runs_dir=tmp_path)) as session:
        plain = {"user_detail_dict": {"user": "fast_http_user"}, "tasks": [{"method": "get", "request_url": server.url}], "drain_time": 1}
        found = _made(session, plain, "shop", Wanted("bracket", rate, 8.0), [LIMIT])
    share, _ = found.over[LIMIT.text]
    assert (share <= 0.05) == holds
    if not holds:
        assert not found.sustained


def test_the_command_line_says_at_least_where_no_limit_is_met(tmp_path: Path) -> None:
    with queueing_server(50, 0.001, random=False) as server:
        script = tmp_path / "script.json"
        step = {"method": "get", "request_url": "/"}
        test = {"user_detail_dict": {"user": "fast_http_user"}, "host": "${var.base}", "user_count": 3, "tasks": [step]}
        script.write_text(json.dumps([["LD_start_test", test]]), encoding="utf-8")
        given = ["--limit", "p95 < 60 s", "--start", "20", "--at-most", "20", "--probe", "6", "--var", f"base={server.url}"]
        said = CliRunner().invoke(main, ["capacity", str(script), *given, "--runs-dir", str(tmp_path / "runs")])
    assert said.exit_code == 3, said.output
    assert "At least 20/s" in said.output
    assert (tmp_path / "runs" / "capacity-capacity.ndjson").is_file()
