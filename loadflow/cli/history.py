"""`loadflow history`: the last runs, each against the one before."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from loadflow.cli.approve import approve_run, approver, by_option
from loadflow.cli.compare import MARKS, STYLES, place_option
from loadflow.cli.console import echo, echo_json
from loadflow.cli.runs import REVISION_COLUMNS

if TYPE_CHECKING:
    from pathlib import Path

    from loadflow.engine.history.kept_runs import KeptRun
    from loadflow.engine.history.trend import TrendRow

__all__ = ["history"]

ROOM_FOR_ALL = 140  # columns of a terminal; in a narrower one the figures and what changed are worth more than ids
ROOM_FOR_REVISIONS = 100  # and in one narrower than this, more than revisions


@click.group(invoke_without_command=True, short_help="List the last runs, each compared with the one before.")
@click.option("--label", help="Only runs with this label; for runs without a label, only those of the script with this name.")
@click.option(
    "--runs-dir", type=click.Path(file_okay=False), help="Folder of the run folders. [default: $LOADFLOW_RUNS_DIR or ./loadflow-runs]"
)
@click.option("--db", metavar="PATH|URL", help="List the runs in this database.")
@click.option("--limit", "-n", default=20, show_default=True, type=click.IntRange(min=1), help="List at most this many runs.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def history(ctx: click.Context, label: str | None, runs_dir: str | None, db: str | None, limit: int, as_json: bool) -> None:
    """List the last runs, newest first: the target's revision, verdict, rate, percentiles, failures, and what got better or worse since
    the run before.

    A run is compared with the last earlier run that has the same label, plan, engine and machine; changes of these are noted. A run in
    progress is listed as running, with its figures so far, and is not compared.
    """
    if ctx.invoked_subcommand is not None:
        return
    from loadflow.engine.history.kept_runs import stored
    from loadflow.engine.history.trend import trend
    from loadflow.engine.session.session import Session

    place = place_option(db)
    folder = Session(runs_dir=runs_dir).runs_dir
    rows = trend((run for run in (stored(place) if place else _readable(folder)) if label in (None, run.group)), limit)
    if as_json:
        echo_json([row.to_json() for row in rows])
    elif not rows:
        echo(f"no runs{f' of {label!r}' if label else ''} in {place or folder}", err=True)
    else:
        print_rows(rows)


@history.command(short_help="From a run on, a label's numbers are what they are meant to be.")
@click.argument("run")
@click.option("--why", required=True, help="Why the numbers are another from now on; kept beside the runs.")
@by_option
@click.option(
    "--runs-dir", type=click.Path(file_okay=False), help="Folder of the run folders. [default: $LOADFLOW_RUNS_DIR or ./loadflow-runs]"
)
def accept(run: str, why: str, by: str | None, runs_dir: str | None) -> None:
    """Say that a change was meant: later runs of RUN's label are held against RUN and those after it, not against those before.

    Until there are 10 of them, `loadflow judge` is learning. What was accepted stands in accepted.ndjson in the folder of the runs, and in
    the run's evidence.json.
    """
    from loadflow.engine.history import population
    from loadflow.engine.history.kept_runs import find_run
    from loadflow.engine.session.session import Session
    from loadflow.errors import RunError

    folder = Session(runs_dir=runs_dir).runs_dir
    kept = find_run("run", run, folder)
    one = population.accept(folder, kept, why, approver(by))
    echo(f"accepted: from {one.run} on, {one.label} is held against itself")
    try:
        approve_run(kept, "change", why, one.by)
    except RunError as error:
        echo(f"its evidence does not say so: {error}", err=True)


def _readable(folder: Path) -> Iterator[KeptRun]:
    """Those that can be read; the others are named."""
    from loadflow.engine.history.kept_runs import KeptRun
    from loadflow.engine.records.run import Run
    from loadflow.engine.records.runs_dir import runs_below
    from loadflow.errors import RunError

    for path in runs_below(folder):
        try:
            yield KeptRun.of(Run.open(path))
        except RunError as error:
            echo(f"left out: {error}", err=True)


def print_rows(rows: list[TrendRow]) -> None:
    from rich.table import Table
    from rich.text import Text

    from loadflow.cli.closing import COLOURS
    from loadflow.cli.console import console_for
    from loadflow.engine.history.comparing import value_text

    console = console_for()
    narrow = console.width < ROOM_FOR_ALL
    labels = not narrow or len({row.label for row in rows}) > 1
    known = any(row.revision for row in rows)
    revisions = not narrow or (known and console.width >= ROOM_FOR_REVISIONS)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("started", no_wrap=True)
    if labels:
        table.add_column("label", overflow="fold")
    if revisions:
        table.add_column("revision", max_width=REVISION_COLUMNS, no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for heading in ("rate", "p50", "p95", "p99", "failed"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("change",) if narrow else ("change", "run"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        values = {"rate": row.rate_per_s, "p50": row.p50_ms, "p95": row.p95_ms, "p99": row.p99_ms, "failure_rate": row.failure_rate}
        table.add_row(
            datetime.fromtimestamp(row.started_unix_s, UTC).strftime("%m-%d %H:%MZ" if narrow else "%Y-%m-%d %H:%M:%SZ"),
            *([Text(row.label)] if labels else []),
            *([Text(row.revision or "–")] if revisions else []),
            Text(row.verdict, style=COLOURS[row.verdict]),
            *(Text(value_text(name, value), style=STYLES[str(row.kind_of(name) or "same")]) for name, value in values.items()),
            Text(_change(row), style=STYLES[str(row.change or "same")]),
            *([] if narrow else [Text(row.name)]),
        )
    console.print(table)
    if narrow:
        left_out = "ids and revisions" if known and not revisions else "ids"
        console.print(f"the {left_out} of the runs: in a terminal of {ROOM_FOR_ALL} columns, or by --json", style="dim")


def _change(row: TrendRow) -> str:
    """Which metrics changed, with their changes; why there is nothing to say, where that is so."""
    from loadflow.engine.history.trend import change_line

    word = MARKS[str(row.change)] if row.change else "–"
    return "; ".join(part for part in (f"{word} {change_line(row)}".strip(), row.note) if part)
