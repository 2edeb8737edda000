"""`loadflow script`: the JSON script that a scenario in Python is."""

from __future__ import annotations

import click

from loadflow.cli.boundary import USAGE, print_mistakes
from loadflow.cli.console import echo_json

__all__ = ["script"]


@click.command(short_help="Print the JSON script of a Python scenario.")
@click.argument("file", type=click.Path())
@click.option("--scenario", "name", metavar="NAME", help="Which one, if the file has several.")
@click.pass_context
def script(ctx: click.Context, file: str, name: str | None) -> None:
    """Print the action script that the scenario in the Python FILE is, to be edited or run without Python.

    Functions are read, not run. If one of them can't be said in steps, the reason is printed, and the exit code is 2.
    """
    from loadflow.engine.scenario.loading import chosen, load_scenarios
    from loadflow.engine.scenario.script import script_of
    from loadflow.engine.scenario.tracing import trace
    from loadflow.errors import Mistake, ScriptError

    try:
        made = chosen(load_scenarios(file), name, file)
        found = trace(made)
        if not found.is_whole:
            hint = "change it, or run the file as it is: Python then runs it hit by hit"
            raise ScriptError(
                [Mistake(f"{made.name}.{one}", f"{why}, which no step says", hint) for one, why in found.refused.items()], file
            )
        echo_json(script_of(made, found, file))
    except ScriptError as error:
        print_mistakes(error.mistakes, error.source or file)
        ctx.exit(USAGE)
