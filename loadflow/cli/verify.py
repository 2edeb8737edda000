"""`loadflow verify`: whether the files of runs are as they were when the runs ended."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from loadflow.cli.console import echo_json

if TYPE_CHECKING:
    from loadflow.engine.records.run import Run
    from loadflow.engine.records.verifying import Verified

__all__ = ["verify"]

STYLES = {"whole": "green", "changed": "bold red", "unknown": "yellow"}


@click.command(short_help="Find files of runs that were changed since.")
@click.argument("run", required=False, metavar="[RUN|FOLDER]")
@click.option(
    "--runs-dir", type=click.Path(file_okay=False), help="Folder of the run folders. [default: $LOADFLOW_RUNS_DIR or ./loadflow-runs]"
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def verify(ctx: click.Context, run: str | None, runs_dir: str | None, as_json: bool) -> None:
    """Hold the files of RUN (a folder, an id, `latest`), or of every run in FOLDER, against the digests that were taken when it ended, and
    its evidence.json against the chain of its label. Without an argument: every run in the folder of the runs.

    Exit codes: 0 all are whole; 1 something was changed, added or is gone; 2 there is no such run; 3 nothing was found, but of some runs
    nothing says what they were: those that were cut off, whose folder is gone, or of older releases.
    """
    from loadflow.engine.records.verifying import State, verify_runs

    folder, only = _places(run, runs_dir)
    found = verify_runs(folder, only, _same_report)
    if as_json:
        echo_json([asdict(one) for one in found])
    else:
        _print(found, folder)
    states = {one.state for one in found}
    ctx.exit(1 if State.CHANGED in states else 3 if State.UNKNOWN in states or not found else 0)


def _places(run: str | None, runs_dir: str | None) -> tuple[Path, Path | None]:
    """The folder of the runs, and the folder of the run where it is one."""
    from loadflow.engine.history.kept_runs import find_run
    from loadflow.engine.session.session import Session

    folder = Session(runs_dir=runs_dir).runs_dir
    if run is None:
        return folder, None
    path = Path(run)
    if (path / "run.json").exists():
        return path.parent, path
    if path.is_dir():
        return path, None
    if (folder / run).is_dir():  # also one whose run.json is gone or damaged
        return folder, folder / run
    kept = find_run("RUN", run, folder)
    assert kept.folder is not None
    return kept.folder.parent, kept.folder


def _same_report(run: Run) -> bool:
    """Whether the report that is there is the one that its files give."""
    from loadflow.engine.reports.html import html_report
    from loadflow.errors import LoadflowError

    try:
        path = run.folder / "report.html"
        return bool(html_report([run], path).encode(errors="replace") == path.read_bytes())
    except (OSError, ValueError, KeyError, LoadflowError):  # of a run whose other files are damaged
        return False


def _print(found: list[Verified], folder: Path) -> None:
    from rich.text import Text

    from loadflow.cli.console import console_for

    console = console_for()
    if not found:
        console.print(Text(f"no runs in {folder}"))
    for one in found:
        console.print(Text.assemble((f"{one.state}", STYLES[one.state]), f"  {one.run}"), soft_wrap=True)
        for line in (*one.faults, *one.notes, *one.approvals):
            console.print(Text(f"  {line}"), soft_wrap=True)
