"""`loadflow runs`: which runs there are."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loadflow.cli.console import echo, echo_json
from loadflow.engine.base.json_value import JsonObject

if TYPE_CHECKING:
    from loadflow.engine.records.run import Run
    from loadflow.engine.records.summary import SeriesSummary

__all__ = ["REVISION_COLUMNS", "newest", "runs"]

ROOM_FOR_ALL = 120  # columns of a terminal
REVISION_COLUMNS = 16  # --json has them whole


@click.command(short_help="List the run folders, newest first.")
@click.option(
    "--runs-dir", type=click.Path(file_okay=False), help="Folder of the run folders. [default: $LOADFLOW_RUNS_DIR or ./loadflow-runs]"
)
@click.option("--limit", "-n", default=20, show_default=True, type=click.IntRange(min=1), help="List at most this many runs.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def runs(runs_dir: str | None, limit: int, as_json: bool) -> None:
    """List the run folders, newest first: verdict, label, the target's revision, rate, p95.

    The verdict of a run in progress is `running`.
    """
    from loadflow.engine.session.session import Session

    folder = Session(runs_dir=runs_dir).runs_dir
    entries = newest(folder, limit)
    if as_json:
        echo_json(entries)
    elif not entries:
        echo(f"no runs below {folder}", err=True)
    else:
        echo(f"below {folder}:", err=True)
        print_table(entries)


def newest(folder: Path, limit: int) -> list[JsonObject]:
    """What each of the newest runs says of itself; folders that hold no run are left out."""
    from loadflow.engine.records.run import Run
    from loadflow.engine.records.runs_dir import runs_below
    from loadflow.errors import RunError

    found = []
    for path in runs_below(folder):
        try:
            found.append(Run.open(path))
        except RunError as error:
            echo(f"left out: {error}", err=True)
    found.sort(key=lambda run: run.facts.started_unix_s, reverse=True)
    return [_entry(run) for run in found[:limit]]


def _entry(run: Run) -> dict[str, object]:
    """Of one that is going on: its figures so far."""
    verdict, overall = _told(run)
    return {
        "run": str(run.folder),
        "started": datetime.fromtimestamp(run.facts.started_unix_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ"),
        "verdict": verdict,
        "label": run.facts.label or run.facts.script,
        "revision": run.facts.revision,
        "hits": overall.count,
        "failures": overall.failures,
        "rate_per_s": overall.rate_per_s,
        "p95_ms": overall.latency.p95_ms,
    }


def _told(run: Run) -> tuple[str, SeriesSummary]:
    from loadflow.engine.records.going_on import RUNNING
    from loadflow.engine.records.names import SeriesName
    from loadflow.engine.records.summary import SeriesSummary

    if run.running:
        totals = run.totals_so_far()
        return RUNNING, SeriesSummary.of(SeriesName("", "all"), totals.overall(), totals.duration_s)
    summary = run.summary()
    return str(summary.verdict.kind), summary.overall


def print_table(entries: list[JsonObject]) -> None:
    from rich.table import Table
    from rich.text import Text

    from loadflow.cli.closing import COLOURS
    from loadflow.cli.console import console_for
    from loadflow.cli.progress import milliseconds

    console = console_for()
    # in a narrow terminal only where a run has one
    revisions = console.width >= ROOM_FOR_ALL or any(entry["revision"] for entry in entries)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("verdict", "label"):
        table.add_column(heading, overflow="fold")
    if revisions:
        table.add_column("revision", max_width=REVISION_COLUMNS, no_wrap=True)
    for heading in ("hits", "failed", "rate/s", "p95 ms"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("run", overflow="fold")
    for entry in entries:
        table.add_row(
            Text(entry["verdict"], style=COLOURS[entry["verdict"]]),
            Text(entry["label"]),
            *([Text(entry["revision"] or "–")] if revisions else []),
            f"{entry['hits']:,}",
            f"{entry['failures']:,}",
            f"{entry['rate_per_s']:,.1f}",
            milliseconds(entry["p95_ms"]),
            Text(Path(entry["run"]).name),
        )
    console.print(table)
