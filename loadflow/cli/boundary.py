"""The outermost edge of the command line: every error ends here as readable text and an exit code."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from typing import Any

import click

from loadflow.engine.verdict import EXIT_CODES, VerdictKind
from loadflow.errors import Interrupted, LoadflowError, Mistake, ScriptError

__all__ = ["EXIT_CODE_HELP", "USAGE", "Boundary", "print_error", "print_mistakes"]

USAGE = 2  # click's own code for a wrong command line; also a script that can't be run as written
EXIT_CODE_HELP = (
    "Exit codes: 0 passed; 1 failed; 2 usage, or a script that can't be run as written; 3 inconclusive; 4 interrupted; 5 error."
)


class Boundary(click.Group):
    """Turns the exceptions of its commands into messages on stderr."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:  # noqa: BLE001  the outermost edge
            if ctx.obj and ctx.obj["debug"]:
                traceback.print_exc()
            print_error(error)
            ctx.exit(exit_code(error))


def exit_code(error: Exception) -> int:
    match error:
        case ScriptError():
            return USAGE
        case Interrupted():
            return EXIT_CODES[VerdictKind.INTERRUPTED]
        case _:
            return EXIT_CODES[VerdictKind.ERROR]


def print_error(error: Exception) -> None:
    match error:
        case ScriptError():
            print_mistakes(error.mistakes, error.source)
        case LoadflowError():
            click.echo(f"{click.style('error:', fg='red', bold=True)} {error}", err=True)
        case _:
            kind = type(error).__name__
            text = str(error).strip().split("\n", 1)[0]
            click.echo(f"{click.style('unexpected error:', fg='red', bold=True)} {kind}{': ' if text else ''}{text}", err=True)
            click.echo("`loadflow --debug …` shows the traceback; please report it.", err=True)


def print_mistakes(mistakes: Iterable[Mistake], source: str = "") -> None:
    """A readable list: the file and how many; then place (bold), what is wrong, and below it the way out."""
    mistakes = list(mistakes)
    number = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    click.echo(f"{source or 'script'}: {click.style(number, fg='red', bold=True)}", err=True)
    for mistake in mistakes:
        place = f"{click.style(mistake.place, bold=True)}: " if mistake.place else ""
        click.echo(f"  {place}{mistake.message}", err=True)
        if mistake.hint:
            click.echo(f"      {click.style(mistake.hint, fg='cyan')}", err=True)
