"""`loadflow check`: everything that is wrong with scripts, without running them."""

from __future__ import annotations

from typing import Any

import click

from loadflow.cli.boundary import USAGE, print_mistakes
from loadflow.cli.variables import variables_option

__all__ = ["check"]


@click.command(short_help="Validate scripts; nothing is run.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@variables_option
@click.pass_context
def check(ctx: click.Context, files: tuple[str, ...], variables: dict[str, Any]) -> None:
    """Validate action scripts whole: every mistake is printed, with its place and a way out.

    Exit codes: 0 when all can be run as written, 2 when any can't.
    """
    from loadflow.engine.execute import load_script
    from loadflow.engine.script.document import read_script
    from loadflow.engine.session import Session
    from loadflow.errors import ScriptError

    wrong = False
    for file in files:
        try:
            script = load_script(read_script(file), session=Session(variables=variables), source=file)
        except ScriptError as error:
            wrong = True
            print_mistakes(error.mistakes, error.source or file)
        else:
            actions = len(script.actions)
            click.echo(f"{file}: {click.style('ok', fg='green')}, {actions} action{'' if actions == 1 else 's'}")
    ctx.exit(USAGE if wrong else 0)
