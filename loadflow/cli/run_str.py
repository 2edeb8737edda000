"""`loadflow run-str`: a script given as text."""

from __future__ import annotations

import sys
from typing import Any

import click

from loadflow.cli.boundary import EXIT_CODE_HELP
from loadflow.cli.options import RunOptions, run_options

__all__ = ["run_str"]


@click.command("run-str", short_help="Run a script given as JSON text.", epilog=EXIT_CODE_HELP)
@click.argument("text", metavar="JSON")
@run_options
@click.pass_context
def run_str(ctx: click.Context, /, text: str, **options: Any) -> None:
    """Run the action script in the text JSON; `-` reads the script from stdin."""
    from loadflow.cli.running import check_all, run_all

    def read() -> str:
        return sys.stdin.read() if text == "-" else text

    chosen = RunOptions(**options)
    ctx.exit(run_all(check_all({"": read}, chosen), chosen))
