"""The outermost edge of the command line: every error ends here as readable text and an exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable
from typing import Any

import click

from loadflow.cli.console import Styled, echo, echo_lines
from loadflow.cli.streams import kept_streams
from loadflow.engine.base.counted import counted
from loadflow.engine.base.verdict import EXIT_CODES, VerdictKind
from loadflow.engine.base.visible import visible
from loadflow.errors import Interrupted, LoadflowError, Mistake, RunError, ScriptError
from loadflow.interrupting import raise_for_interrupt, was_interrupted

__all__ = ["EXIT_CODE_HELP", "USAGE", "Boundary", "print_error", "print_mistakes", "print_warnings"]

USAGE = 2  # click's own code for a wrong command line; also a script that can't be run as written
EXIT_CODE_HELP = (
    "Exit codes: 0 passed; 1 failed; 2 usage, or a script that can't be run as written; 3 inconclusive; 4 interrupted; 5 error."
)


class Boundary(click.Group):
    """Turns the exceptions of its commands into messages on stderr."""

    def main(self, *args: Any, **extra: object) -> Any:
        """As click's, but for its exit codes: it ends with 1 what was interrupted or could not be written, which here means failed."""
        inner: dict[str, Any] = {**extra, "standalone_mode": False}
        if extra.get("standalone_mode") is False:
            return super().main(*args, **inner)
        raise_for_interrupt()
        with kept_streams() as out:
            try:
                code = super().main(*args, **inner)
            except click.ClickException as error:
                error.show()
                code = error.exit_code
            except (KeyboardInterrupt, click.Abort):  # click makes the one the other
                echo("interrupted", err=True)
                code = EXIT_CODES[VerdictKind.INTERRUPTED]
            if out is not None:
                out.flush()
                if out.is_lost:
                    assert out.trouble is not None
                    message = f"standard output can't be written ({out.trouble.strerror}); what was measured is in the run folders"
                    print_error(RunError(message))
                    code = EXIT_CODES[VerdictKind.ERROR]
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            vars(error)["message"] = visible(error.message, lines=True)
            raise
        except (click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if was_interrupted():  # a library turned the KeyboardInterrupt into an error of its own
                raise click.Abort from error
            if ctx.obj and ctx.obj["debug"]:
                echo_lines(traceback.format_exc(), err=True)
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
            first, *others = str(error).split("\n")
            echo(Styled("error:", fg="red", bold=True), f" {first}", err=True)
            for line in others:
                echo(f"  {line}", err=True)
        case _:
            kind = type(error).__name__
            text = str(error).strip().split("\n", 1)[0]
            echo(Styled("unexpected error:", fg="red", bold=True), f" {kind}{': ' if text else ''}{text}", err=True)
            echo("`loadflow --debug …` shows the traceback; please report it.", err=True)


def print_mistakes(mistakes: Iterable[Mistake], source: str = "") -> None:
    """A readable list: the file and how many; then place (bold), what is wrong, and below it the way out."""
    _print_list(list(mistakes), source, "mistake", "red")


def print_warnings(warnings: Iterable[Mistake], source: str = "") -> None:
    """The same for warnings: what is not a mistake, but may not be intended."""
    _print_list(list(warnings), source, "warning", "yellow")


def _print_list(mistakes: list[Mistake], source: str, word: str, colour: str) -> None:
    number = counted(len(mistakes), word)
    echo(f"{source or 'script'}: ", Styled(number, fg=colour, bold=True), err=True)
    for mistake in mistakes:
        place = (Styled(mistake.place, bold=True), ": ") if mistake.place else ()
        echo("  ", *place, mistake.message, err=True)
        if mistake.hint:
            echo("      ", Styled(mistake.hint, fg="cyan"), err=True)
