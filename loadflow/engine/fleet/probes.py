"""Files by which who started an agent sees how it is, without a process that would take from the load."""

from __future__ import annotations

import time
from pathlib import Path

__all__ = ["Probes"]

EVERY_S = 5.0


class Probes:
    """In `folder`: `alive`, touched every few seconds; `ready`, there while the agent is registered. None: no files.

    >>> Probes(None).tell(ready=True)
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._told_s = -EVERY_S
        self._ready: bool | None = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def tell(self, *, ready: bool) -> None:
        """To be called often; does little, and nothing that could fail a load."""
        if self._folder is None:
            return
        now_s = time.monotonic()
        if now_s - self._told_s >= EVERY_S:
            self._told_s = now_s
            (self._folder / "alive").touch()
        if ready is not self._ready:
            self._ready = ready
            if ready:
                (self._folder / "ready").touch()
            else:
                (self._folder / "ready").unlink(missing_ok=True)
