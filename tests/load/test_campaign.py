"""LD_campaign in real loads: a matrix of cells, what is kept of it, and its page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loadflow.engine.load import campaign as module
from loadflow.engine.load.campaign import campaign, cells_of
from loadflow.engine.reports.heat_map import heat_chart, heat_map_of
from loadflow.engine.session.observer import Observer
from loadflow.engine.session.session import Session, use_session
from loadflow.errors import CommandError, Interrupted, ThresholdsNotMet
from loadflow.flows.campaign_page import campaign_markdown
from tests.targets.fixture import Target
from tests.targets.queueing import queueing_server

MATRIX: dict[str, Any] = {"variables": {"page": ["/ok", "/missing"]}, "rates": [10, 20]}


def test_of(target: Target, **more: Any) -> dict[str, Any]:
    step = {"name": "page", "method": "get", "request_url": f"{target.url}${{var.page}}"}
    return {
        "user_detail_dict": {"user": "fast_http_user"},
        "test_time": 1,
        "variables": {"page": "/ok"},
        "tasks": [{**step, "assertions": [{"type": "status_code", "value": 200}]}],
        **more,
    }


test_of.__test__ = False  # type: ignore[attr-defined]


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with use_session(Session(name="matrix", runs_dir=tmp_path)) as own:
        yield own


class Told(Observer):
    def __init__(self) -> None:
        self.results: list[Any] = []

    def judged(self, judgement: Any) -> None:
        self.results.append(judgement)


def test_each_combination_is_one_load_and_all_are_compared(session: Session, target: Target, tmp_path: Path) -> None:
    target.reset()
    watch = Told()
    session.observers.append(watch)
    result = campaign(test_of(target), **MATRIX)
    assert [one["name"] for one in result["cells"]] == [
        "page=/ok · 10/s",
        "page=/ok · 20/s",
        "page=/missing · 10/s",
        "page=/missing · 20/s",
    ]
    assert [one["verdict"] for one in result["cells"]] == ["passed", "passed", "failed", "failed"]
    assert result["verdict"] == "failed"
    assert {path: len(target.records(path)) for path in ("/ok", "/missing")} == {"/ok": 30, "/missing": 30}
    assert watch.results == [result]
    assert not session.runs, "cells are no runs of the script"
    page = Path(result["page"]).read_text(encoding="utf-8")
    assert page.count("<tr>") == 5
    for one in result["cells"]:
        assert f'<a href="{one["run"]}/report.html">' in page
        assert (tmp_path / one["run"] / "report.html").is_file()
    text = campaign_markdown(result)
    assert "4 cells: 2 failed, 2 passed." in text or "4 cells: 2 passed, 2 failed." in text
    assert "data:image/svg+xml;base64," in text


def script(folder: Path, name: str, *actions: Any, **declared: Any) -> str:
    path = folder / f"{name}.json"
    document: Any = {"variables": declared, "load_density": list(actions)} if declared else list(actions)
    path.write_text(json.dumps(document), encoding="utf-8")
    return str(path)


def test_scripts_are_an_axis_and_keys_of_the_test_take_the_place_of_theirs(session: Session, target: Target, tmp_path: Path) -> None:
    target.reset()
    step = {"method": "get", "request_url": f"{target.url}/${{var.page}}"}
    declared = {"page": {"type": "text", "default": "echo"}}
    load = {"user_detail_dict": {"user": "fast_http_user"}, "test_time": 60, "rate": 5, "tasks": [step]}
    one = script(tmp_path, "one", ["LD_start_test", load], ["LD_generate_html_report", {"html_name": "never"}], **declared)
    two = script(tmp_path, "two", ["LD_start_test", test_of(target)])
    result = campaign({"test_time": 1}, rates=[10, 20], script_files=[one, two])
    assert [cell["name"] for cell in result["cells"]] == [f"{one} · 10/s", f"{one} · 20/s", f"{two} · 10/s", f"{two} · 20/s"]
    assert {path: len(target.records(path)) for path in ("/echo", "/ok")} == {"/echo": 30, "/ok": 30}
    assert heat_map_of(result["cells"]).rows == [one, two]
    assert not list(tmp_path.glob("never*"))


def test_what_a_script_does_before_its_load_is_refused(session: Session, target: Target, tmp_path: Path) -> None:
    before = script(tmp_path, "before", ["LD_register_variable", {"name": "page", "value": "/ok"}], ["LD_start_test", test_of(target)])
    none = script(tmp_path, "none", ["LD_summary"])
    with pytest.raises(CommandError) as raised:
        campaign(rates=[10], script_files=[before, none])
    first, second = raised.value.mistakes
    assert first.place == f"script_files[0]: {before}: actions[0]"
    assert "the load comes after LD_register_variable" in first.message
    assert "the script has no LD_start_test" in second.message


def test_loads_of_two_targets_can_be_made_at_once(session: Session, target: Target, tmp_path: Path) -> None:
    target.reset()
    with queueing_server(8, 0.001, random=False) as other:
        step = {"method": "get", "request_url": "/ok"}
        test = {"user_detail_dict": {"user": "fast_http_user"}, "test_time": 1, "rate": 10, "tasks": [step]}
        path = script(tmp_path, "relative", ["LD_start_test", test])
        result = campaign(script_files=[path], targets=[f"{target.url}", other.url.rstrip("/")], rates=[10, 20], at_once=2)
    assert [one["verdict"] for one in result["cells"]] == ["passed"] * 4
    assert len({one["run"] for one in result["cells"]}) == 4
    assert [round(one["rate"]) for one in result["cells"]] == [10, 20, 10, 20]
    assert other.served == 30


def test_unchanged_cells_are_kept_and_changed_ones_made_anew(session: Session, target: Target, tmp_path: Path) -> None:
    first = campaign(test_of(target), rates=[10, 20])
    target.reset()
    again = campaign(test_of(target), rates=[10, 20])
    assert not target.records()
    assert [(one["run"], one["kept"]) for one in again["cells"]] == [(one["run"], True) for one in first["cells"]]
    more = campaign(test_of(target), rates=[10, 20, 30])
    assert [one["kept"] for one in more["cells"]] == [True, True, False]
    changed = campaign(test_of(target, revision="1.4.2"), rates=[10])
    assert [one["kept"] for one in changed["cells"]] == [False]
    old = campaign(test_of(target), rates=[10, 20], max_age=0.0)
    assert [one["kept"] for one in old["cells"]] == [False, False]


def test_one_that_was_cut_off_goes_on_and_repeats_none(
    session: Session, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    real = module._made

    def cut(session: Session, cell: Any, arguments: Any) -> dict[str, Any]:
        if len(made) == 2:
            raise Interrupted("cut off")
        made.append(cell.name)
        return real(session, cell, arguments)

    monkeypatch.setattr(module, "_made", cut)
    with pytest.raises(Interrupted):
        campaign(test_of(target), rates=[10, 15, 20], max_age=0.0)
    path = tmp_path / "campaign-matrix.ndjson"
    path.write_bytes(path.read_bytes() + b'{"kind": "cell", "ke')  # what a crash leaves of a line
    monkeypatch.setattr(module, "_made", real)
    result = campaign(test_of(target), rates=[10, 15, 20], max_age=0.0)
    assert [one["kept"] for one in result["cells"]] == [True, True, False]


def test_cells_that_differ_in_a_secret_alone_are_two(session: Session, target: Target, tmp_path: Path) -> None:
    steps = {"tasks": [{"method": "get", "request_url": f"{target.url}/ok", "headers": {"Authorization": "Bearer ${var.token}"}}]}
    given = test_of(target, **steps, variables={"token": ""}, rate=10)
    target.reset()
    result = campaign(given, variables={"token": ["hunter22-hunter22", "swordfish-swordfish"]})
    assert [one["kept"] for one in result["cells"]] == [False, False]
    sent = {record.header("Authorization") for record in target.records("/ok")}
    assert sent == {"Bearer hunter22-hunter22", "Bearer swordfish-swordfish"}
    written = "".join(path.read_text(encoding="utf-8") for path in tmp_path.glob("campaign-*"))
    names = "".join(path.name for path in tmp_path.iterdir())
    assert "hunter22" not in written + json.dumps(result) + names


def test_failed_cells_can_be_the_verdict(session: Session, target: Target) -> None:
    with pytest.raises(ThresholdsNotMet, match=r"1 cell of 2 failed: page=/missing"):
        campaign(test_of(target, rate=10), variables={"page": ["/ok", "/missing"]}, fail_on_failed=True)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "the matrix has no axis"),
        ({"rates": [10], "script_files": ["nowhere.json"]}, "there is no such file"),
        ({"rates": [10], "metric": "p42"}, "'p42' is not a metric"),
        ({"rates": [10, 20, 30], "budget": 2}, "3 cells are 3 s of load, and budget allows 2 s"),
        ({"variables": {"n": list(range(40))}, "rates": list(range(1, 41))}, "the matrix has 1,600 cells"),
        ({"variables": {"page": []}}, "has no value"),
        ({"rates": [10], "targets": ["ftp://x"]}, "ftp"),
    ],
)
def test_mistakes_are_told_before_anything_is_sent(session: Session, target: Target, given: dict[str, Any], said: str) -> None:
    target.reset()
    with pytest.raises(CommandError, match=re.escape(said)):
        campaign(test_of(target), **given)
    assert not target.records()


def test_a_heat_map_has_a_place_for_every_cell_of_three_axes() -> None:
    cells = [
        {**cell_of(one), "p95": float(number + 1), "verdict": "passed"}
        for number, one in enumerate(cells_of({"size": [1, 2]}, ["http://a", "http://b"], [10, 20]))
    ]
    heat = heat_map_of(cells)
    assert heat.columns == ["10/s", "20/s"]
    assert len(heat.rows) == 4
    assert {place: cell["p95"] for place, cell in heat.cells.items()}[heat.rows[0], "20/s"] == 2.0
    assert set(heat.shares("p95").values()) >= {0.0, 1.0}
    assert str(heat_chart(heat, "p95", "p95").drawing).count("<rect") == 8


def cell_of(one: Any) -> dict[str, Any]:
    return dict(
        json.loads(
            json.dumps(
                {"variables": dict(one.shown), "target": one.target, "asked_per_s": one.rate, "name": one.name, "script": one.script}
            )
        )
    )
