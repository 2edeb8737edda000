"""The view of a running load, fed with made-up snapshots."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from loadflow.cli.live import LINE_EVERY_S, Lines, Panels, panel, view_for
from loadflow.cli.progress import WINDOW_S, Progress
from loadflow.engine.records.health import Health
from loadflow.engine.records.names import ErrorText, SeriesName
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.records.totals import ErrorCount, SeriesTotals, Totals
from tests.builders import facts


def snapshot(second: int, ms: float, hits: int, failures: int = 0) -> Snapshot:
    one = SeriesTotals()
    one.succeeded.add(np.full(hits - failures, int(ms * 1e6), dtype=np.int64))
    name = SeriesName("GET", "/")
    errors = {}
    if failures:
        one.failed.add(np.full(failures, int(ms * 1e6), dtype=np.int64))
        errors = {(name, ErrorText(Outcome.STATUS, "status 500")): ErrorCount(failures, second, second)}
    return Snapshot(second, 0.0, Totals({name: one}, errors), Health(users=20, in_flight=3, cpu=0.25), 60.0)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    shop = replace(facts(), label="shop", target="http://127.0.0.1:1", users=20, planned_s=60.0)
    return Run.create(tmp_path, shop, shards=1, max_failure_rate=0)


def test_the_rate_and_latencies_are_those_of_the_last_seconds() -> None:
    progress = Progress("shop")
    for second in range(10):
        progress.add(snapshot(second, ms=1.0, hits=10))
    for second in range(10, 10 + WINDOW_S):
        progress.add(snapshot(second, ms=100.0, hits=50))
    assert progress.rate_per_s == 50
    assert progress.latencies_ms() == pytest.approx((100.0, 100.0, 100.0), rel=1e-3)
    assert progress.hits == 10 * 10 + WINDOW_S * 50


def test_one_line_says_everything() -> None:
    progress = Progress("shop")
    progress.add(snapshot(0, ms=4.2, hits=1500, failures=2))
    assert progress.line() == ("shop 0:01/1:00 1,500 hits, 1,500/s, 20 users, 3 in flight, p50 4.2 p95 4.2 p99 4.2 ms, 2 failed, cpu 25%")


def test_without_a_terminal_there_is_a_line_every_few_seconds(run: Run) -> None:
    text = io.StringIO()
    view = view_for(Console(file=text, width=200))
    assert isinstance(view, Lines)
    view.run_started(run)
    for second in range(2 * LINE_EVERY_S + 1):
        view.snapshot(run, snapshot(second, 1.0, 10))
    first, *others = text.getvalue().splitlines()
    assert first == "shop: 20 users on http://127.0.0.1:1 for 60 s"
    assert [line.split()[1] for line in others] == ["0:05/1:00", "0:10/1:00"]
    assert "\x1b" not in text.getvalue()


def test_a_label_in_brackets_is_text_and_no_markup(run: Run) -> None:
    run.facts = replace(run.facts, label="[bold]x[/bold] [/]")
    text = io.StringIO()
    Lines(Console(file=text, width=200)).run_started(run)
    assert text.getvalue().startswith("[bold]x[/bold] [/]: ")
    shown = Console(file=io.StringIO(), width=100, record=True)
    shown.print(panel(Progress("[/]", "http://[::1]:80"), 0.0))
    assert "[/] · http://[::1]:80" in shown.export_text()


def test_the_panel_shows_bar_rate_users_latencies_errors_and_the_generator() -> None:
    progress = Progress("shop", "http://127.0.0.1:1")
    progress.add(snapshot(0, ms=42.0, hits=100, failures=7))
    console = Console(file=io.StringIO(), width=100, record=True)
    console.print(panel(progress, 15.0))
    text = console.export_text()
    head = ("shop · http://127.0.0.1:1", "0:15 of 1:00", "hits/s 100", "users 20", "in flight 3")
    for part in (*head, "p50 42 ms", "p95 42 ms", "p99 42 ms", "failed 7", "generator 25% cpu", "errors: 7 status"):
        assert part in text


def test_a_load_without_an_end_has_no_share() -> None:
    progress = Progress("endless")
    console = Console(file=io.StringIO(), width=100, record=True)
    console.print(panel(progress, 75.0))
    assert "1:15" in console.export_text()
    assert progress.share is None


def test_closing_gives_the_terminal_back_and_may_be_done_twice(run: Run) -> None:
    text = io.StringIO()
    view = view_for(Console(file=text, force_terminal=True, width=100, legacy_windows=False, _environ={"TERM": "xterm"}))
    assert isinstance(view, Panels)
    view.run_started(run)
    view.snapshot(run, snapshot(0, 1.0, 10))
    view.close()
    view.close()
    assert text.getvalue().rstrip().endswith("\x1b[2K") or "\x1b[?25h" in text.getvalue(), "the cursor is shown again"
