"""The default folder for runs: the current session's, once there are sessions."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

__all__ = ["RUNS_DIR_VARIABLE", "asked_of", "runs_dir", "usual_runs_dir"]

RUNS_DIR_VARIABLE = "LOADFLOW_RUNS_DIR"


def usual_runs_dir() -> Path:
    """What LOADFLOW_RUNS_DIR says, else loadflow-runs in the working directory."""
    return Path(os.environ.get(RUNS_DIR_VARIABLE) or "loadflow-runs")


_answer: Callable[[], Path] = usual_runs_dir


def runs_dir() -> Path:
    return _answer()


def asked_of(answer: Callable[[], Path]) -> None:
    """From now on `runs_dir` is what `answer` returns. Sessions, which a run knows nothing of, set it when they are imported."""
    global _answer
    _answer = answer
