"""Where the command line writes: as wide as the terminal, and wide enough for any table where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from loadflow.engine.records.judge import Warning_

__all__ = ["console_for", "print_warning"]

NO_TERMINAL_COLUMNS = 200  # in files and pipes nothing wraps, so that lines can be searched


def console_for(*, stderr: bool = False) -> Console:
    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=NO_TERMINAL_COLUMNS)


def print_warning(console: Console, warning: Warning_) -> None:
    console.print(Text.assemble(("warning: ", "yellow"), f"{warning.message} {warning.advice}"), soft_wrap=True)
