"""Where the command line writes: as wide as the terminal, and wide enough for any table where there is none."""

from __future__ import annotations

from rich.console import Console

__all__ = ["console_for"]

NO_TERMINAL_COLUMNS = 200  # in files and pipes nothing wraps, so that lines can be searched


def console_for(*, stderr: bool = False) -> Console:
    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=NO_TERMINAL_COLUMNS)
