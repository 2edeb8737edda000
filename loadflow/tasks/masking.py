"""A logger for Prefect that steers no terminal."""

from __future__ import annotations

import logging
from typing import Any

from loadflow.engine.base.visible import visible

__all__ = ["VisibleLogger"]


class VisibleLogger(logging.LoggerAdapter[Any]):
    """Prefect prints what a run logs: a message is one line, whatever a target put into it."""

    def log(self, level: int, msg: object, *args: object, **options: Any) -> None:
        if self.isEnabledFor(level):
            super().log(level, "%s", visible(str(msg) % args if args else str(msg)), **options)
