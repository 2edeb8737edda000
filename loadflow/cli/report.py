"""`loadflow report`: the HTML report again, from what is on disk."""

from __future__ import annotations

from pathlib import Path

import click

from loadflow.cli.console import echo

__all__ = ["report"]


@click.command(short_help="Make a run's HTML report again.")
@click.argument("run_dir", metavar="RUN_DIR", type=click.Path(file_okay=False))
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Where to write the report. [default: RUN_DIR/report.html]")
def report(run_dir: str, output: str | None) -> None:
    """Make the HTML report of a run again from its folder. This also works for a run that was cut off; its report ends with its
    last hit.

    A run in progress is refused; `loadflow reports serve` shows it.
    """
    from loadflow.engine.records.ended import ended
    from loadflow.engine.records.run import Run
    from loadflow.engine.reports.html import write_html_report

    run = ended(Run.open(run_dir))
    echo(str(write_html_report([run], Path(output) if output else run.folder / "report.html")))
