"""What a report says of the runs before, of the target's build, and where it leads to."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from loadflow.engine.records.run import Run
from loadflow.engine.reports.html import write_html_report
from loadflow.engine.reports.in_short import in_short
from loadflow.engine.reports.links import Links, links_of
from loadflow.engine.reports.since import since_last_good
from tests.builders import STARTED_UNIX_S, build_run, facts, make_rows
from tests.reports.pages import read_page


def kept(root: Path, number: int, hits: int = 3_000, seconds: float = 60.0, slower: float = 1.0, **changes: object) -> Run:
    """A run of the label, an hour after the one with the number before."""
    rows = make_rows(hits, seconds=seconds, seed=number, failure_rate=0.0, steady=True)
    rows["start_ns"] = rows["end_ns"] - ((rows["end_ns"] - rows["start_ns"]) * slower).astype("int64")
    rows["due_ns"] = rows["start_ns"]
    name = f"20260921-{number:06}-smoke-{number:08x}"
    known = {"id": name, "folder": str(root / name), "planned_s": seconds, "started_unix_s": STARTED_UNIX_S + 3600 * number, **changes}
    return build_run(root / name, rows, run_facts=facts(**known))


def test_a_slower_run_is_worse_than_the_last_good_one_and_leads_to_it(tmp_path: Path) -> None:
    kept(tmp_path, 1, revision="1.4.0")
    good = kept(tmp_path, 2, revision="1.4.1")
    now = kept(tmp_path, 3, slower=2.0, revision="1.4.2")
    since = since_last_good(now)
    assert since.good is not None
    assert (since.good.id, since.good.revision) == (good.facts.id, "1.4.1")
    assert {row.metric: str(row.verdict) for row in since.rows}["p95"] == "worse"
    page = read_page(write_html_report([now], now.folder / "report.html").read_text(encoding="utf-8"))
    short = page.one("p", "short").words.replace("\u00a0", " ")  # a value and its unit stay on one line
    assert short == in_short(now.summary(), since)
    for text in (
        "“smoke” of http://shop.test:8080 (build 1.4.2) passed: 3,000 requests",
        "compared with the last good run",
        "(build 1.4.1)",
        "got worse",
    ):
        assert text in short
    assert f"../{good.facts.id}/report.html" in [one.attributes["href"] for one in page.all("a")]
    assert [one.id for one in since.earlier] == [f"20260921-{number:06}-smoke-{number:08x}" for number in (2, 1)]


def test_short_runs_are_too_short_to_say(tmp_path: Path) -> None:
    kept(tmp_path, 1, hits=300, seconds=5.0)
    now = kept(tmp_path, 2, hits=300, seconds=5.0)
    assert "it is too short to say what changed" in in_short(now.summary(), since_last_good(now))


def test_runs_that_are_no_measure_are_passed_over(tmp_path: Path) -> None:
    other_label = kept(tmp_path, 1, label="other")
    later = kept(tmp_path, 9)
    failed = build_run(
        tmp_path / "20260921-000003-x", make_rows(100, failure_rate=0.5), run_facts=facts(id="f", started_unix_s=STARTED_UNIX_S)
    )
    for number, content in enumerate(
        ("{", "[]", '{"format": "loadflow-run", "version": 1}', '{"format": "loadflow-run", "version": 1, "facts": 3}')
    ):
        (tmp_path / f"20260921-00000{number}-broken").mkdir()
        (tmp_path / f"20260921-00000{number}-broken" / "run.json").write_text(content)
    since = since_last_good(kept(tmp_path, 5))
    assert since.good is None
    assert "“smoke” before it passed" in since.why
    assert [one.id for one in since.earlier] == [failed.facts.id]
    assert other_label.facts.id != later.facts.id


def test_a_good_run_that_is_unlike_says_in_what(tmp_path: Path) -> None:
    kept(tmp_path, 1, plan={"user_count": 5})
    since = since_last_good(kept(tmp_path, 2))
    assert since.good is None
    assert "differs from this one in user_count" in since.why


@pytest.mark.parametrize("address", ["javascript:alert(1)", "data:text/html,x", "//", "", "http://[", "/runs/1"])
def test_a_link_is_an_address_of_the_web_or_none(tmp_path: Path, address: str) -> None:
    run = kept(tmp_path, 1, hits=20, flow_run_url=address)
    assert links_of([run], tmp_path / "elsewhere.html").flow_run == ""


def test_links_lead_beside_the_run_or_to_where_reports_are_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = kept(tmp_path, 1, hits=20, flow_run_url="http://127.0.0.1:4200/runs/flow-run/7")
    monkeypatch.delenv("LOADFLOW_REPORTS_URL", raising=False)
    assert links_of([run], run.folder / "report.html").report("a b") == "../a%20b/report.html"
    assert links_of([run], tmp_path / "x.html") == Links("http://127.0.0.1:4200/runs/flow-run/7", None)
    monkeypatch.setenv("LOADFLOW_REPORTS_URL", "https://reports.test/load/")
    assert links_of([run], tmp_path / "x.html").report("a") == "https://reports.test/load/a/report.html"
    assert dataclasses.astuple(Links()) == ("", None)
