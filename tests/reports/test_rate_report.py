"""What a run at a rate shows, wherever numbers are shown: asked and achieved, response and service time side by side."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from loadflow.cli.closing import print_summary
from loadflow.cli.progress import Progress
from loadflow.engine.base.figures import latency_text
from loadflow.engine.plan.pace import Pace, Segment
from loadflow.engine.records.health import Health
from loadflow.engine.records.passes import Passes
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.records.totals import Totals
from loadflow.engine.reports.html import write_html_report
from loadflow.engine.reports.junit import write_junit_report
from loadflow.flows.artifacts import markdown, table
from tests.builders import build_run, facts, make_rows
from tests.reports.pages import read_page


@pytest.fixture
def paced(tmp_path: Path) -> Run:
    """30 seconds at 40 passes a second, of which one in ten was dropped."""
    pace = Pace((Segment(30.0, 40.0, 40.0),), max_in_flight=25)
    rows = make_rows(1080, seconds=30, arrival_rate=True, failure_rate=0.0)
    return build_run(tmp_path / "run", rows, passes=Passes(40, 36, 4, 30, 6), run_facts=facts(plan={"pace": pace.to_json()}))


def test_the_summary_compares_asked_and_achieved(paced: Run) -> None:
    summary = paced.summary()
    seconds = len(list(paced.seconds()))
    assert summary.to_json()["rate"] == {
        "due": 40 * seconds,
        "started": 36 * seconds,
        "dropped": 4 * seconds,
        "made": 30 * seconds,
        "cut_off": 6 * seconds,
        "lost": 0,
        "achieved": 0.9,
        "asked_per_s": 40 * seconds / 30,
        "achieved_per_s": 36 * seconds / 30,
    }
    assert summary.verdict.kind == "inconclusive"


def test_without_a_rate_there_is_nothing_to_compare(tmp_path: Path) -> None:
    run = build_run(tmp_path / "run", make_rows(100))
    assert run.summary().to_json()["rate"] is None
    assert "asked" not in _charts(read_page(_page(run, tmp_path)))


def test_the_page_draws_asked_and_achieved_and_shows_both_times(paced: Run, tmp_path: Path) -> None:
    page = read_page(_page(paced, tmp_path))
    assert _charts(page)[:2] == ["asked", "rate"]
    assert "Arrival rate, 40/s, at most 25 in flight" in page.all("p", "muted")[0].words
    words = page.all("main")[0].words if page.all("main") else page.one("body").words
    for text in ("Of asked", "90.0", "Dropped", "Service p50", "Service p99"):
        assert text in words
    service = paced.summary().overall.service
    assert service is not None
    assert latency_text(service.p50_ms) in words


def _charts(page: Any) -> list[str]:
    return [chart.attributes["data-chart"] for chart in page.all("svg") if "data-chart" in chart.attributes]


def _page(run: Run, folder: Path) -> str:
    return write_html_report([run], folder / "report.html").read_text(encoding="utf-8")


def test_the_artifact_the_terminal_and_junit_show_them_too(paced: Run, tmp_path: Path) -> None:
    summary = paced.summary()
    service = summary.overall.service
    assert service is not None
    assert "Service p99" in markdown(paced, summary)
    assert {"service_p50_ms", "service_p99_ms"} <= table(summary)[0].keys()
    out = io.StringIO()
    print_summary(Console(file=out, width=200), summary)
    assert f"{summary.rate.started:,} of {summary.rate.due:,} passes" in out.getvalue()  # type: ignore[union-attr]
    assert "service p99" in out.getvalue()
    junit = write_junit_report([paced], tmp_path / "junit.xml").read_text(encoding="utf-8")
    assert f'name="passes_dropped" value="{summary.rate.dropped}"' in junit  # type: ignore[union-attr]
    assert f'name="service_p99_ms" value="{service.p99_ms:.3f}"' in junit


def test_the_live_line_tells_of_dropped_passes() -> None:
    progress = Progress("shop")
    for second in range(2):
        progress.add(Snapshot(second, 0.0, Totals(passes=Passes(10, 7, 3)), Health(), 60.0))
    assert "0 failed, 6 dropped, cpu" in progress.line()
