"""What a run leaves in Prefect: the whole story, bounded, and nothing that breaks a page."""

from __future__ import annotations

import base64
import json
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadflow.engine.base.verdict import VerdictKind
from loadflow.engine.records.health import Health
from loadflow.engine.records.histogram import Histogram
from loadflow.engine.records.names import SeriesName
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.passes import Passes
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.records.summary import Summary
from loadflow.engine.records.totals import SeriesTotals, Totals
from loadflow.engine.script.command import Command, Policy
from loadflow.flows import artifacts, compile_script
from loadflow.flows.artifacts import artifact_key, live_link, markdown, report_link, table
from loadflow.flows.progress import Progress
from tests.builders import Failure, build_run, facts, make_rows
from tests.flows.commands import session_with, synthetic_run
from tests.flows.stored import stored


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return synthetic_run(tmp_path / "run", VerdictKind.FAILED)


def big_run(folder: Path, *, hits: int = 2_700, seconds: int = 60) -> Run:
    names = [("GET", f"|`<b>/{number}/{'long' * 60}") for number in range(900)]
    failures = [Failure(Outcome.STATUS, f"status 503 {'x' * 400} {number}", 503) for number in range(60)]
    rows = make_rows(hits, seconds=seconds, series=900, failure_rate=0.5, failures=60)
    rows["series"] = np.arange(hits) % 900  # each has some, however few there are
    return build_run(folder, rows, names=names, failures=failures, run_facts=facts(folder=str(folder), label="x" * 500))


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Summary]:
    run = big_run(tmp_path_factory.mktemp("big") / "run")
    return run, run.summary()


def test_the_page_tells_verdict_figures_names_errors_and_where_the_rest_is(run: Run) -> None:
    page = markdown(run, run.summary())
    for part in ("# ✕ Failed", "hits failed", "| GET /items |", "status 503", "## What was run", str(run.folder), "report.html"):
        assert part in page, part


def test_a_figure_and_its_unit_stay_on_one_line_of_a_narrow_cell(run: Run) -> None:
    rows = [line for line in markdown(run, run.summary()).splitlines() if line.startswith("| GET ")]
    assert all(re.search(r"\d\u00a0(µs|ms|s) \|", row) for row in rows)
    assert not any(re.search(r"\d (µs|ms|s|%)", row) for row in rows)


def test_every_chart_is_a_well_formed_image_of_its_own(run: Run) -> None:
    page = markdown(run, run.summary())
    images = re.findall(r"!\[[^\]]*\]\(data:image/svg\+xml;base64,([^)]+)\)", page)
    assert len(images) == 3
    for image in images:
        root = ET.fromstring(base64.b64decode(image))
        assert (root.tag, root.get("width"), root.get("height")) == ("{http://www.w3.org/2000/svg}svg", "560", "230")
        assert root.find("{http://www.w3.org/2000/svg}style") is not None


def test_a_run_of_thousands_of_names_and_errors_stays_small(big: tuple[Run, Summary]) -> None:
    page = markdown(*big)
    assert len(page.encode()) < 1_000_000
    assert len(json.dumps(table(big[1]))) < 1_000_000
    assert "850 more names" in page


def test_texts_of_a_target_can_not_break_a_table_or_add_markup(tmp_path: Path) -> None:
    run = big_run(tmp_path / "run", hits=900, seconds=3)
    row = next(line for line in markdown(run, run.summary()).splitlines() if line.startswith("| GET"))
    assert len(re.findall(r"(?<!\\)\|", row)) == 9
    assert not re.search(r"(?<!\\)[<`]", row)


def test_numbers_of_the_table_are_finite_or_absent(run: Run) -> None:
    summary = run.summary()
    broken = replace(summary.series[0], rate_per_s=math.inf, latency=replace(summary.series[0].latency, p99_ms=math.nan))
    rows = table(replace(summary, series=(broken, *summary.series[1:])))
    assert (rows[0]["rate_per_s"], rows[0]["p99_ms"]) == (None, None)
    json.dumps(rows, allow_nan=False)


@pytest.mark.parametrize("kind", list(VerdictKind))
def test_a_page_is_made_of_every_verdict(tmp_path: Path, kind: VerdictKind) -> None:
    run = synthetic_run(tmp_path / "run", kind)
    assert str(kind).capitalize() in markdown(run, run.summary()).splitlines()[0]


def test_a_run_without_a_hit_has_a_page_too(tmp_path: Path) -> None:
    run = build_run(tmp_path / "run", make_rows(0))
    assert "No request was recorded." in markdown(run, run.summary())
    assert table(run.summary()) == []


@pytest.mark.parametrize(
    ("label", "key"),
    [
        ("Nightly: läuft!", "loadflow-nightly-l-uft"),
        ("", "loadflow-examples-shop-json"),
        ("🙂", "loadflow"),
        ("a" * 99, "loadflow-" + "a" * 60),
    ],
)
def test_keys_hold_only_what_prefect_takes(tmp_path: Path, label: str, key: str) -> None:
    run = Run.create(tmp_path, facts(label=label), shards=1, max_failure_rate=0)
    assert artifact_key(run) == key
    assert re.fullmatch(r"[a-z0-9-]+", artifact_key(run, "names"))


def test_the_report_link_opens_below_the_base_url_or_else_as_a_file(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert report_link(run) == (run.folder / "report.html").resolve().as_uri()
    monkeypatch.setenv(artifacts.REPORTS_URL_VARIABLE, "https://reports.test/load/")
    assert report_link(run) == f"https://reports.test/load/{run.facts.id}/report.html"


def test_a_live_page_is_linked_where_reports_are_served_and_not_where_they_are_uploaded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert live_link(run, uploaded=False) == "", "nobody serves"
    monkeypatch.setenv(artifacts.REPORTS_URL_VARIABLE, "https://reports.test/load/")
    assert live_link(run, uploaded=False) == report_link(run)
    assert live_link(run, uploaded=True) == "", "the address is a bucket's"


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("passed", "passed: 300 requests in "),
        pytest.param("failed", "failed: ", marks=pytest.mark.long),
        ("error", "error: the engine process 0 was killed by SIGKILL"),
        pytest.param("interrupted", "interrupted: ", marks=pytest.mark.long),
    ],
)
def test_all_artifacts_are_written_however_the_run_ended_and_tell_it(kind: str, told: str) -> None:
    state: Any = compile_script([["load", {"kind": kind, "label": "Smoke"}]], session=session_with())(return_state=True)
    found = stored(state.state_details.flow_run_id)
    assert {key: artifact.type for key, artifact in found.items()} == {
        "loadflow-smoke": "markdown",
        "loadflow-smoke-progress": "progress",
    }
    assert found["loadflow-smoke"].description.startswith(told)
    assert found["loadflow-smoke-progress"].data == 100.0


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")
def test_from_the_second_like_run_on_there_is_a_trend(tmp_path: Path) -> None:
    flow = compile_script([["load", {"label": "Smoke"}]], session=session_with(runs_dir=tmp_path))
    found = [stored(flow(return_state=True).state_details.flow_run_id) for _ in range(2)]
    assert ["## The last 2 runs" in one["loadflow-smoke"].data for one in found] == [False, True]


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")
def test_names_that_are_too_many_for_the_page_have_a_table(big: tuple[Run, Summary]) -> None:
    def many() -> None:
        artifacts.publish(*big)

    state: Any = compile_script([["many"]], session=session_with(Command("many", many, "", Policy())))(return_state=True)
    found = stored(state.state_details.flow_run_id)
    (key,) = [key for key in found if key.endswith("-names")]
    rows = json.loads(found[key].data)
    assert len(rows) == 900
    assert list(rows[0])[:4] == ["name", "requests", "failed", "p95_ms"], "what a narrow page shows"


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_server")
def test_an_artifact_that_can_not_be_written_is_a_warning_and_the_flow_still_passes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise ConnectionError("the server is away")

    monkeypatch.setattr(artifacts, "create_markdown_artifact", away)
    state: Any = compile_script([["load"]], session=session_with())(return_state=True)
    assert state.is_completed()
    assert "the artifacts could not be written (ConnectionError: the server is away)" in caplog.text


def snapshot(second: int, planned_s: float | None, latency_ms: float = 10.0, hits: int = 20, failed: int = 0) -> Snapshot:
    good, bad = Histogram(), Histogram()
    for histogram, count in ((good, hits - failed), (bad, failed)):
        histogram.add(np.full(count, int(latency_ms * 1e6)))
    return Snapshot(second, 0.0, Totals({SeriesName("GET", "/"): SeriesTotals(good, bad)}), Health(users=7), planned_s)


def test_progress_tells_of_the_seconds_since_it_was_last_asked() -> None:
    progress = Progress()
    progress.add(snapshot(0, 10, latency_ms=1000))
    assert progress.take()[0] == 10.0
    progress.add(snapshot(1, 10))
    progress.add(snapshot(2, 10, hits=40, failed=10))
    percent, text = progress.take()
    assert percent == pytest.approx(30.0)
    assert text == "0:03 of 0:10 · 7 users · 30.0/s · p95 10.0 ms · 80 requests · 10 failed (12.5 %)"


def test_progress_of_a_pace_says_what_was_made_of_what_was_asked_for() -> None:
    progress = Progress()
    paced = snapshot(0, 10)
    paced.delta.passes.merge(Passes(due=20, started=15, dropped=5))
    progress.add(paced)
    assert (
        progress.take()[1]
        == "0:01 of 0:10 · 7 users · 20.0/s · 15.0 of 20.0 passes/s · p95 10.0 ms · 20 requests · 0 failed (0 %) · 5 dropped"
    )


def test_progress_of_load_without_an_end_stays_at_nought_and_that_of_a_long_one_at_a_hundred() -> None:
    endless, late = Progress(), Progress()
    endless.add(snapshot(100, None))
    late.add(snapshot(12, 10))
    assert (endless.take()[0], late.take()[0]) == (0.0, 100.0)
    assert "no end of its own" in endless.take()[1]
