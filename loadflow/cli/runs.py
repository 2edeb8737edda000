"""`loadflow runs`: which runs there are."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

__all__ = ["runs"]


@click.command(short_help="List the run folders, newest first.")
@click.option("--runs-dir", type=click.Path(file_okay=False), help="Where to look. [default: $LOADFLOW_RUNS_DIR or ./loadflow-runs]")
@click.option("--limit", "-n", default=20, show_default=True, type=click.IntRange(min=1), help="How many at most.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def runs(runs_dir: str | None, limit: int, as_json: bool) -> None:
    """List the run folders, newest first: verdict, label, rate, p95."""
    from loadflow.engine.session import Session

    folder = Session(runs_dir=runs_dir).runs_dir
    entries = newest(folder, limit)
    if as_json:
        click.echo(json.dumps(entries, indent=2, ensure_ascii=False))
    elif not entries:
        click.echo(f"no runs below {folder}", err=True)
    else:
        click.echo(f"below {folder}:", err=True)
        print_table(entries)


def newest(folder: Path, limit: int) -> list[dict[str, Any]]:
    """What each of the newest runs says of itself; folders that hold no run are left out."""
    from loadflow.engine.records.run import Run
    from loadflow.errors import RunError

    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        if (path / "run.json").is_file():
            try:
                found.append(Run.open(path))
            except RunError as error:
                click.echo(f"left out: {error}", err=True)
    found.sort(key=lambda run: run.facts.started_unix_s, reverse=True)
    return [_entry(run) for run in found[:limit]]


def _entry(run: Any) -> dict[str, Any]:
    summary = run.summary()
    return {
        "run": str(run.folder),
        "started": datetime.fromtimestamp(run.facts.started_unix_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ"),
        "verdict": str(summary.verdict.kind),
        "label": run.facts.label or run.facts.script,
        "hits": summary.overall.count,
        "failures": summary.overall.failures,
        "rate_per_s": summary.overall.rate_per_s,
        "p95_ms": summary.overall.latency.p95_ms,
    }


def print_table(entries: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from loadflow.cli.closing import COLOURS
    from loadflow.cli.console import console_for
    from loadflow.cli.progress import milliseconds
    from loadflow.engine.verdict import VerdictKind

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("verdict", "label"):
        table.add_column(heading, overflow="fold")
    for heading in ("hits", "failed", "rate/s", "p95 ms"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("run", overflow="fold")
    for entry in entries:
        table.add_row(
            Text(entry["verdict"], style=COLOURS[VerdictKind(entry["verdict"])]),
            Text(entry["label"]),
            f"{entry['hits']:,}",
            f"{entry['failures']:,}",
            f"{entry['rate_per_s']:,.1f}",
            milliseconds(entry["p95_ms"]),
            Text(Path(entry["run"]).name),
        )
    console_for().print(table)
