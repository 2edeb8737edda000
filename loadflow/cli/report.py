"""`loadflow report`: the HTML report again, from what is on disk."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["report"]


@click.command(short_help="Make a run's HTML report again.")
@click.argument("run_dir", metavar="RUN_DIR", type=click.Path(file_okay=False))
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Where to write it. [default: RUN_DIR/report.html]")
def report(run_dir: str, output: str | None) -> None:
    """Make the HTML report of a run again from its folder; also of a run that was cut off, up to its last hit."""
    from loadflow.engine.records.run import Run
    from loadflow.engine.reports.html import write_html_report

    run = Run.open(run_dir)
    click.echo(write_html_report([run], Path(output) if output else run.folder / "report.html"))
