"""The folder that runs are put in, the current session's once there are sessions, and the runs in one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

__all__ = ["RUNS_DIR_VARIABLE", "asked_of", "runs_below", "runs_dir", "usual_runs_dir"]

RUNS_DIR_VARIABLE = "LOADFLOW_RUNS_DIR"


def usual_runs_dir() -> Path:
    """What LOADFLOW_RUNS_DIR says, else loadflow-runs in the working directory."""
    return Path(os.environ.get(RUNS_DIR_VARIABLE) or "loadflow-runs")


_answer: Callable[[], Path] = usual_runs_dir


def runs_dir() -> Path:
    return _answer()


def runs_below(folder: Path) -> list[Path]:
    """The folders that hold a run, newest first; none where `folder` is not there."""
    found = [path for path in folder.iterdir() if (path / "run.json").is_file()] if folder.is_dir() else []
    # those of one second in the order they were made
    return sorted(found, key=lambda path: (path.name[:15], (path / "run.json").stat().st_mtime_ns), reverse=True)


def asked_of(answer: Callable[[], Path]) -> None:
    """From now on `runs_dir` is what `answer` returns. Sessions, which a run knows nothing of, set it when they are imported."""
    global _answer
    _answer = answer
