"""Folders and files that only their owner may read: those of a run hold a target's answers."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["FILE_MODE", "FOLDER_MODE", "opener"]

FOLDER_MODE = 0o700
FILE_MODE = 0o600


def opener(path: str, flags: int) -> int:
    """For `open`: a new file in a folder that is its owner's alone, such as a run's, is so too; elsewhere the umask decides.

    The folder is what keeps others out; the file's own mode does after it was copied or moved.
    """
    return os.open(path, flags, 0o666 if Path(path).parent.stat().st_mode & 0o077 else FILE_MODE)
