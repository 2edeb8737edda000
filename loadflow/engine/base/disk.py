"""What is wrong when a run's folder can't be written any more, in words that say where, why, and the way out."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loadflow.errors import RunError

__all__ = ["FULL", "full_disk", "is_gone", "refuse_gone", "told_disk"]

ELSEWHERE = "set LOADFLOW_RUNS_DIR or --runs-dir (at an agent TMPDIR) to a folder"
# a quota and a limit on the size of files (`ulimit -f`) end like a full disk
FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file reached the largest size that is allowed (ulimit -f)",
}
OF_CORE = re.compile(r"\(os error (\d+)\)")  # as Rust writes an error of the system


def is_gone(folder: Path) -> bool:
    """Whether the run's folder, or one of its main files, was deleted."""
    return not (folder / "run.json").exists()


def refuse_gone(folder: Path) -> None:
    """Raises RunError for a run folder that was deleted: nothing that is still written would belong to a run."""
    if is_gone(folder):
        raise RunError(
            f"the run folder {folder} was deleted while its load ran, so its results are lost; "
            f"leave it until the run is over, or {ELSEWHERE} that is not cleaned up automatically"
        )


@contextmanager
def told_disk(folder: Path) -> Iterator[None]:
    """An OSError that writing below `folder` raised comes out as a RunError with the path and the way out."""
    try:
        yield
    except OSError as error:
        raise RunError(_told(error.errno, folder) or f"{folder} can't be written: {error}; {ELSEWHERE} that can be written") from error


def full_disk(error: BaseException, folder: Path) -> str:
    """What to say of an engine's error that a full disk is behind; "" for any other."""
    if isinstance(error, OSError):
        return _told(error.errno, folder)
    found = OF_CORE.search(str(error))
    return _told(int(found[1]), folder) if found else ""


def _told(number: int | None, folder: Path) -> str:
    if number not in FULL:
        return ""
    return f"{folder} can't be written: {FULL[number]}; free some space, or {ELSEWHERE} with room (64 bytes per hit)"
