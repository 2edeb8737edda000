"""Where the command line writes, and its border: what comes from targets, scripts and files can't steer the terminal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from loadflow.engine.base.visible import visible, visible_json

if TYPE_CHECKING:
    from rich.console import Console

    from loadflow.engine.records.judge import Warning_

__all__ = ["Styled", "ask_number", "console_for", "echo", "echo_json", "echo_lines", "print_warning"]

NO_TERMINAL_COLUMNS = 200  # in files and pipes nothing wraps, so that lines can be searched


class Styled(NamedTuple):
    """A part of a line with a look of its own."""

    text: str
    fg: str | None = None
    bold: bool | None = None
    dim: bool | None = None

    def shown(self) -> str:
        return click.style(visible(self.text), fg=self.fg, bold=self.bold, dim=self.dim)


def echo(*parts: str | Styled, err: bool = False) -> None:
    """One line, made of `parts`; a line end within them does not end it."""
    click.echo("".join(visible(part) if isinstance(part, str) else part.shown() for part in parts), err=err)


def echo_lines(text: str, *, err: bool = False, nl: bool = True) -> None:
    """`text` whose lines are its own, such as a document or a traceback."""
    click.echo(visible(text, lines=True), err=err, nl=nl)


def echo_json(data: Any, **options: Any) -> None:
    """`data` as JSON over several lines; `options` are those of json.dumps."""
    click.echo(visible_json(json.dumps(data, indent=2, ensure_ascii=False, **options)))


def ask_number(what: str, most: int) -> int:
    """A number from 1 to `most` that a person types; 1 for an empty line. `what` is our own word."""
    number: int = click.prompt(what, type=click.IntRange(1, most), default=1, err=True)
    return number


def console_for(*, stderr: bool = False) -> Console:
    """As wide as the terminal, and wide enough for any table where there is none."""
    from loadflow.cli.plain_console import PlainConsole

    console = PlainConsole(stderr=stderr)
    return console if console.is_terminal else PlainConsole(stderr=stderr, width=NO_TERMINAL_COLUMNS)


def print_warning(console: Console, warning: Warning_) -> None:
    from rich.text import Text

    console.print(Text.assemble(("warning: ", "yellow"), f"{warning.message} {warning.advice}"), soft_wrap=True)
