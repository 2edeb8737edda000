"""Rows wait for the file no longer than a tenth of a second: a process that is killed loses no more."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["ROWS_S", "flush_rows"]

ROWS_S = 0.1


def flush_rows(flush: Callable[[], None], sleep: Callable[[float], object], on_fatal: Callable[[OSError], object]) -> None:
    """Goes on until it is killed, or the disk is full: then `on_fatal` is told."""
    while True:
        sleep(ROWS_S)
        try:
            flush()
        except OSError as error:
            on_fatal(error)
            return
