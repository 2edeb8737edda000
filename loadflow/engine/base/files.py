"""Files that are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path

from loadflow.engine.base.private import opener

__all__ = ["write_atomically"]


def write_atomically(path: Path, text: str) -> None:
    """Write a temporary file beside `path`, then rename; folders are made. A reader sees the old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        # a lone surrogate (from a path, a label) can't be UTF-8; losing one character beats losing the file
        with open(temporary, "w", encoding="utf-8", errors="replace", opener=opener) as file:
            file.write(text)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
