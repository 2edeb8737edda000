"""`loadflow judge`: a run against the nights before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from loadflow.cli.compare import place_option
from loadflow.cli.console import echo_json

if TYPE_CHECKING:
    from rich.table import Table

    from loadflow.engine.history.judgement import Judgement

__all__ = ["judge"]

EXIT_CODES = {"same": 0, "better": 0, "suspect": 3, "learning": 3, "worse": 1}
STYLES = {"better": "green", "same": "", "worse": "bold red", "suspect": "yellow", "learning": "dim"}


@click.command(short_help="Hold a run against the nights before it.")
@click.argument("run", default="latest")
@click.option(
    "--runs-dir", type=click.Path(file_okay=False), help="Folder of the run folders. [default: $LOADFLOW_RUNS_DIR or ./loadflow-runs]"
)
@click.option("--db", metavar="PATH|URL", help="Take the runs of this database.")
@click.option("--metric", "metrics", multiple=True, default=("p95",), show_default=True, help="p50, p95, p99, mean or rate; repeatable.")
@click.option("--floor", default="2%", show_default=True, help="Ignore changes that are smaller than this.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def judge(ctx: click.Context, run: str, runs_dir: str | None, db: str | None, metrics: tuple[str, ...], floor: str, as_json: bool) -> None:
    """Hold RUN (a folder, an id, or `latest`) against the last 30 runs of its label that are alike, and keep the judgement in its folder.

    Exit codes: 0 same or better; 1 something is worse; 2 there is no such run; 3 suspect: one night alone decides nothing, or learning:
    fewer than 10 runs. After a change that is meant, `loadflow history accept` begins anew.
    """
    from loadflow.engine.history.comparing import share_of
    from loadflow.engine.history.judging import judge_run, keep_judgement
    from loadflow.engine.history.kept_runs import every_run, find_run
    from loadflow.engine.history.population import METRICS, accepted_of
    from loadflow.engine.session.session import Session
    from loadflow.errors import CommandError, Mistake

    if unknown := [one for one in metrics if one not in METRICS]:
        raise CommandError([Mistake("--metric", f"{unknown[0]!r} is not a metric", f"metrics: {', '.join(METRICS)}")])
    place, folder = place_option(db), Session(runs_dir=runs_dir).runs_dir
    kept = find_run("run", run, folder, place)
    judgement = judge_run(every_run(folder, place), kept, metrics, share_of("--floor", floor), accepted_of(folder, kept.group))
    keep_judgement(kept, judgement)
    if as_json:
        echo_json(judgement)
    else:
        print_judgement(judgement)
    ctx.exit(EXIT_CODES[judgement["verdict"]])


def print_judgement(judgement: Judgement) -> None:
    from rich.text import Text

    from loadflow.cli.console import console_for
    from loadflow.engine.base.counted import counted
    from loadflow.engine.history.judging import sentences

    console = console_for()
    nights = counted(len(judgement["nights"]), "night")
    console.print(Text(f"{judgement['run']} of {judgement['label']}, {nights}", style="dim"), soft_wrap=True)
    if any(one["usual"] for one in judgement["metrics"]):
        console.print(_table(judgement))
    for line in sentences(judgement):
        console.print(Text(line), soft_wrap=True)
    console.print(Text(judgement["verdict"], style=STYLES[judgement["verdict"]] or "bold"))


def _table(judgement: Judgement) -> Table:
    from rich.table import Table
    from rich.text import Text

    from loadflow.engine.history.comparing import value_text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("name", "metric", "tonight", "usually", ""):
        table.add_column(heading, overflow="fold")
    for one in judgement["metrics"]:
        metric, usual = one["metric"], one["usual"]
        between = f"{value_text(metric, usual[0])} … {value_text(metric, usual[2])}" if usual else "–"
        cells = (one["name"] or "all", metric, value_text(metric, one["value"]), between)
        table.add_row(*map(Text, cells), Text(one["verdict"], style=STYLES[one["verdict"]]))
    return table
