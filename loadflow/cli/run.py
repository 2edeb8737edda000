"""`loadflow run`: one script file, as a Prefect flow or without Prefect."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from loadflow.cli.boundary import EXIT_CODE_HELP
from loadflow.cli.options import RunOptions, run_options

__all__ = ["run"]


@click.command(short_help="Run a script as a Prefect flow.", epilog=EXIT_CODE_HELP)
@click.argument("file", type=click.Path())
@run_options
@click.pass_context
def run(ctx: click.Context, /, file: str, **options: Any) -> None:
    """Run the action script FILE as a Prefect flow, one task per action, and give it a verdict.

    If PREFECT_API_URL is not set, Prefect's embedded server is used. The first Ctrl-C ends the load and keeps its
    results; a second one ends everything at once.
    """
    from loadflow.cli.running import check_all, run_all
    from loadflow.engine.script.document import read_script

    chosen = RunOptions(**options)
    ctx.exit(run_all(check_all({file: partial(read_script, file, from_terminal=True)}, chosen), chosen))
