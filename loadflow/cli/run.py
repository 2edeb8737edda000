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
    """Run the action script FILE as a Prefect flow, one task per action, and judge it.

    Without a Prefect API (PREFECT_API_URL) Prefect's embedded server is used. Ctrl-C ends the load and keeps what was
    measured; a second one ends at once.
    """
    from loadflow.cli.running import check_all, run_all
    from loadflow.engine.script.document import read_script

    chosen = RunOptions(**options)
    ctx.exit(run_all(check_all({file: partial(read_script, file)}, chosen), chosen))
