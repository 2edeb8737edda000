"""A console that is gone ends no flow: a worker that dies takes the pipe with it that its flow runs write their log lines to."""

from __future__ import annotations

import contextlib
import logging
import os
import select
from functools import partial

from rich.console import Console

__all__ = ["outlive_console"]


def outlive_console() -> None:
    """Send log lines to /dev/null once their reader is gone; rich would end the process, before its artifacts are written."""
    for logger in (logging.root, *logging.root.manager.loggerDict.values()):
        for handler in getattr(logger, "handlers", ()):
            console = getattr(handler, "console", None)
            if isinstance(console, Console):
                console.on_broken_pipe = partial(_to_null, console)  # type: ignore[method-assign]  # rich's own hook


def _to_null(console: Console) -> None:
    console.quiet = True
    null = os.open(os.devnull, os.O_WRONLY)
    # whatever else is written there would fail too, and the interpreter's last flush with it
    for descriptor in (1, 2):
        if _nobody_reads(descriptor):
            with contextlib.suppress(OSError):
                os.dup2(null, descriptor)
    os.close(null)


def _nobody_reads(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & (select.POLLERR | select.POLLHUP | select.POLLNVAL) for _, event in poll.poll(0))
