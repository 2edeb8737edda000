"""`loadflow history`: the last runs, each against the one before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from loadflow.cli.compare import MARKS, STYLES, place_option

if TYPE_CHECKING:
    from loadflow.engine.kept_runs import KeptRun
    from loadflow.engine.trend import TrendRow

__all__ = ["history"]

ROOM_FOR_ALL = 140  # columns of a terminal; in a narrower one the figures and what changed are worth more than ids


@click.command(short_help="The last runs, each compared with the one before.")
@click.option("--label", help="Only runs of this label, or of this script where a run has no label.")
@click.option("--runs-dir", type=click.Path(file_okay=False), help="Where to look. [default: $LOADFLOW_RUNS_DIR or ./loadflow-runs]")
@click.option("--db", metavar="PATH|URL", help="Look in this database.")
@click.option("--limit", "-n", default=20, show_default=True, type=click.IntRange(min=1), help="How many at most.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def history(label: str | None, runs_dir: str | None, db: str | None, limit: int, as_json: bool) -> None:
    """The last runs, newest first: verdict, rate, percentiles, failures, and what got better or worse since the run before.

    A run is compared with the last one before it that has its label, plan, engine and machine; a change of these is noted.
    """
    from loadflow.engine.kept_runs import stored
    from loadflow.engine.session import Session
    from loadflow.engine.trend import trend

    place = place_option(db)
    folder = Session(runs_dir=runs_dir).runs_dir
    rows = trend((run for run in (stored(place) if place else _readable(folder)) if label in (None, run.group)), limit)
    if as_json:
        click.echo(json.dumps([row.to_json() for row in rows], indent=2, ensure_ascii=False))
    elif not rows:
        click.echo(f"no runs{f' of {label!r}' if label else ''} in {place or folder}", err=True)
    else:
        print_rows(rows)


def _readable(folder: Any) -> Iterator[KeptRun]:
    """Those that can be read; the others are named."""
    from loadflow.engine.kept_runs import KeptRun, runs_below
    from loadflow.engine.records.run import Run
    from loadflow.errors import RunError

    for path in runs_below(folder):
        try:
            yield KeptRun.of(Run.open(path))
        except RunError as error:
            click.echo(f"left out: {error}", err=True)


def print_rows(rows: list[TrendRow]) -> None:
    from rich.table import Table
    from rich.text import Text

    from loadflow.cli.closing import COLOURS
    from loadflow.cli.console import console_for
    from loadflow.engine.comparing import value_text
    from loadflow.engine.verdict import VerdictKind

    console = console_for()
    narrow = console.width < ROOM_FOR_ALL
    labels = not narrow or len({row.label for row in rows}) > 1
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("started", no_wrap=True)
    if labels:
        table.add_column("label", overflow="fold")
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
            Text(row.verdict, style=COLOURS[VerdictKind(row.verdict)]),
            *(Text(value_text(name, value), style=STYLES[str(row.kind_of(name) or "same")]) for name, value in values.items()),
            Text(_change(row), style=STYLES[str(row.change or "same")]),
            *([] if narrow else [Text(row.name)]),
        )
    console.print(table)
    if narrow:
        console.print(f"[dim]the ids of the runs: in a terminal of {ROOM_FOR_ALL} columns, or by --json[/]")


def _change(row: TrendRow) -> str:
    """Which metrics changed, with their changes; why there is nothing to say, where that is so."""
    from loadflow.engine.trend import change_line

    word = MARKS[str(row.change)] if row.change else "–"
    return "; ".join(part for part in (f"{word} {change_line(row)}".strip(), row.note) if part)
