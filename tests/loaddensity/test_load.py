"""Migrated scripts as real load, on each engine: what the target receives is what LoadDensity would have sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.loaddensity.migrate import migrate
from tests.load.harness import USERS, load
from tests.targets.fixture import Target


@pytest.mark.parametrize("user", USERS)
def test_what_is_sent_is_what_loaddensity_sends(user: str, target: Target, tmp_path: Path) -> None:
    kept = [{"var": "code", "from": "status_code"}, {"var": "ok", "path": "ok"}]
    steps = [
        {"method": "get", "request_url": f"{target.url}/delay/1", "extract": kept},
        {
            "method": "post",
            "request_url": f"{target.url}/echo",
            "params": {"on": "${on}"},
            "json": {"id": "${id}", "code": "${code}", "list": ["${list}", 7], "text": "n${code}"},
        },
        {"method": "get", "request_url": f"{target.url}/status/201", "run_if": {"equals": ["${code}", 200]}},
        {"method": "get", "request_url": f"{target.url}/status/202", "run_if": {"equals": ["${code}", "200"]}},
        {"method": "get", "request_url": f"{target.url}/status/203", "skip_if": {"equals": ["${on}", "True"]}},
        {"method": "post", "request_url": f"{target.url}/status/204", "files": {"f": "content"}},
    ]
    arguments = {"user_detail_dict": {}, "tasks": steps, "variables": {"id": 5, "on": True, "list": [1, "a"]}}
    made: dict[str, Any] = migrate([["LD_start_test", arguments]]).document[0][1]
    target.reset()
    done = load(tmp_path, made["tasks"], user=user, variables=made["variables"])
    assert not done.summary["totals"]["failures"]
    first, echoed, *others = target.records()
    assert [first.path, *(record.path for record in others)] == ["/delay/1", "/status/202", "/status/204"]
    assert echoed.target == "/echo?on=True"
    assert json.loads(echoed.body) == {"id": "5", "code": "200", "list": ["[1, 'a']", 7], "text": "n200"}
    assert b'filename="f"' in others[-1].body
    assert b"content" in others[-1].body
    assert set(done.counts()) == {f"{target.url}{path}" for path in ("/delay/1", "/echo", "/status/202", "/status/204")}
