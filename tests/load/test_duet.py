"""LD_duet in real loads: two servers whose times are known, in turns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.history.population import JUDGEMENT
from loadflow.engine.load.duet import duet
from loadflow.engine.session.execute import execute_action
from loadflow.engine.session.observer import Observer
from loadflow.engine.session.session import Session, use_session
from loadflow.errors import RunError, ScriptError, ThresholdsNotMet
from tests.builders import build_run, facts, make_rows
from tests.targets.queueing import queueing_server

TEST = {
    "label": "shop",
    "user_detail_dict": {"user": "fast_http_user"},
    "rate": {"mode": "constant", "rps": 60, "spacing": "poisson"},
    "tasks": [{"method": "get", "request_url": "/"}],
}


class Judged(Observer):
    def __init__(self) -> None:
        self.told: list[Any] = []

    def judged(self, judgement: Any) -> None:
        self.told.append(judgement)


def test_a_slower_version_is_worse_and_settles_what_was_suspect(tmp_path: Path) -> None:
    suspect = build_run(tmp_path / "20260901-000000-shop-1", make_rows(300, seconds=12), run_facts=facts(id="20260901-000000-shop-1"))
    watch = Judged()
    with (
        queueing_server(16, 0.01, random=False) as old,
        queueing_server(16, 0.1, random=False) as new,
        use_session(Session(runs_dir=tmp_path, observers=[watch])) as session,
        pytest.raises(ThresholdsNotMet, match=r"p50 of .* is worse than of"),
    ):
        duet(TEST, old.url, new.url, "p50", leg=1.0, pairs=4, suspect=suspect.facts.id, fail_on_worse=True)
    (result,) = watch.told
    assert (result["verdict"], result["pairs"], result["label"]) == ("worse", 4, "shop")
    assert 1 < result["change"] < 10
    assert "".join(leg["side"] for leg in result["legs"]) == "ABBAABBA"
    assert not session.runs, "legs are no runs of the script"
    assert old.served == pytest.approx(new.served, abs=3), "both legs of a pair have the same due times"
    assert json.loads((suspect.folder / JUDGEMENT).read_text(encoding="utf-8"))["verdict"] == "worse"


def test_steps_that_name_a_host_are_refused(tmp_path: Path) -> None:
    with queueing_server(4, 0.001) as one, queueing_server(4, 0.001) as other, use_session(Session(runs_dir=tmp_path)):
        test = {**TEST, "tasks": [{"method": "get", "request_url": one.url}]}
        with pytest.raises(RunError, match="the steps name a host of their own"):
            duet(test, one.url, other.url, leg=1.0)


def test_a_check_finds_a_mistake_in_the_test_before_anything_is_sent() -> None:
    wrong = {**TEST, "tasks": [{"method": "get", "request_url": "/", "nane": "x"}]}
    script = [["LD_duet", {"test": wrong, "baseline_target": "http://127.0.0.1:9", "target": "http://127.0.0.1:9"}]]
    with pytest.raises(ScriptError, match="nane"):
        execute_action(script)
