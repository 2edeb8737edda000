"""How much memory an engine process takes while it is sent one answer after the other."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import psutil

__all__ = ["MemoryWatch"]

LOOK_S = 0.01
FIND_S = 0.05  # between two looks for the process, each of which goes through all that there are


class MemoryWatch:
    """Of the child process that keeps a file open below `folder`, from when it does; looks a hundred times a second.

    `samples`: monotonic ns, and bytes that are resident; two lists of the same length.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder.resolve())
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.times_ns: list[int] = []
        self.sizes: list[int] = []

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def grown(self, start_ns: int, end_ns: int) -> int:
        """The most bytes above those of the first look, of the looks between two times; 0 where there was none."""
        sizes = [size for at_ns, size in zip(self.times_ns, self.sizes, strict=True) if start_ns <= at_ns <= end_ns]
        return max(0, max(sizes, default=0) - self.sizes[0]) if sizes else 0

    def _run(self) -> None:
        process: psutil.Process | None = None
        while not self._over.wait(LOOK_S if process is not None else FIND_S):
            try:
                process = process or self._engine()
                if process is not None:
                    size = process.memory_info().rss
                    self.times_ns.append(time.monotonic_ns())
                    self.sizes.append(size)
            except psutil.Error:  # it has just ended
                process = None

    def _engine(self) -> psutil.Process | None:
        """The process that writes the hit log: the last of its line, below the supervisor that also has files there."""
        found = [one for one in psutil.Process().children(recursive=True) if self._has_log(one)]
        return found[-1] if found else None

    def _has_log(self, process: psutil.Process) -> bool:
        try:
            return any(one.path.startswith(self._folder) and "hits" in one.path for one in process.open_files())
        except psutil.Error:
            return False
