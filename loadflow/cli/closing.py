"""What is shown when a run is over: a table per name, errors, warnings, the verdict, where things are."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from loadflow.cli.console import print_warning
from loadflow.cli.progress import milliseconds
from loadflow.engine.base.counted import counted
from loadflow.engine.base.verdict import Verdict, VerdictKind
from loadflow.engine.records.going_on import RUNNING
from loadflow.engine.records.summary import SeriesSummary, Summary
from loadflow.engine.records.timings import TTFB

__all__ = ["COLOURS", "print_places", "print_summary", "print_verdict", "series_table"]

MOST_NAMES = 40
MOST_ERRORS = 10

# of verdicts, and of the word that stands for one while there is none
COLOURS: dict[str, str] = {
    VerdictKind.PASSED: "bold green",
    VerdictKind.INCONCLUSIVE: "bold yellow",
    VerdictKind.FAILED: "bold red",
    VerdictKind.INTERRUPTED: "bold yellow",
    VerdictKind.ERROR: "bold red",
    RUNNING: "bold cyan",
}


def print_summary(console: Console, summary: Summary) -> None:
    """Table, errors and warnings."""
    console.print(series_table(summary))
    if len(summary.series) > MOST_NAMES:
        console.print(f"and {counted(len(summary.series) - MOST_NAMES, 'more name')}: see the report", style="dim")
    if rate := summary.rate:
        asked = f"asked {rate.asked_per_s:,.1f}/s, achieved {rate.achieved_per_s:,.1f}/s: {rate.started:,} of {counted(rate.due, 'pass')}"
        lost = f", {rate.lost:,} lost" if rate.lost else ""
        console.print(f"{asked}, {rate.dropped:,} dropped, {rate.cut_off:,} cut off{lost}, {counted(summary.overall.late, 'hit')} late")
    if summary.knee:
        console.print(Text(summary.knee.text), soft_wrap=True)
    for error in summary.errors[:MOST_ERRORS]:
        line = Text.assemble((f"{error.count:,} × ", "red"), (error.kind, "bold red"), f" {error.method} {error.name}: {error.message}")
        console.print(line, soft_wrap=True)
    if len(summary.errors) > MOST_ERRORS:
        console.print(
            f"and {counted(len(summary.errors) - MOST_ERRORS, 'more kind of error', 'more kinds of errors')}: see the report", style="dim"
        )
    for warning in summary.warnings:
        print_warning(console, warning)


def series_table(summary: Summary) -> Table:
    """A row per name and one for all; milliseconds."""
    table = Table(title=None, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("name", overflow="fold")
    for heading in ("hits", "failed", "rate/s", "mean", "p50", "p95", "p99", "max ms"):
        table.add_column(heading, justify="right", no_wrap=True)
    service = summary.overall.service is not None
    if service:
        table.add_column("service p99", justify="right", no_wrap=True)
    ttfb = TTFB in summary.overall.timings
    if ttfb:
        table.add_column("ttfb p95", justify="right", no_wrap=True)
    for one in summary.series[:MOST_NAMES]:
        table.add_row(*_cells(one, service=service, ttfb=ttfb))
    table.add_section()
    table.add_row(*_cells(summary.overall, service=service, ttfb=ttfb), style="bold")
    return table


def _cells(one: SeriesSummary, *, service: bool, ttfb: bool) -> list[Text]:
    latency = one.latency
    times = (latency.mean_ms, latency.p50_ms, latency.p95_ms, latency.p99_ms, latency.max_ms)
    failed = Text(f"{one.failures:,}", style="red" if one.failures else "")
    return [
        Text(f"{one.method} {one.name}".strip()),
        Text(f"{one.count:,}"),
        failed,
        Text(f"{one.rate_per_s:,.1f}"),
        *(Text(milliseconds(value)) for value in times),
        *([Text(milliseconds((one.service or latency).p99_ms))] if service else []),
        *([Text(milliseconds(one.timings[TTFB].p95_ms) if TTFB in one.timings else "")] if ttfb else []),
    ]


def print_verdict(console: Console, verdict: Verdict) -> None:
    """One line that starts with the verdict, and one for each further reason."""
    first, *others = verdict.reasons or ("",)
    kind = str(verdict.kind)
    rest = f": {first}" if first else ""
    console.print(Text.assemble((kind, COLOURS[verdict.kind]), rest), soft_wrap=True)
    for reason in others:
        console.print(Text(f"  {reason}"), soft_wrap=True)


def print_places(console: Console, places: Iterable[tuple[str, Path]]) -> None:
    """`what: path` lines; nothing is wrapped, so that paths can be clicked and copied."""
    for what, path in places:
        console.print(Text.assemble((f"{what}: ", "dim"), str(path)), soft_wrap=True)
