"""Watches the loop of an engine process from a thread of its own: if the loop stands still, its rows are flushed, and the place where it
is gets recorded.

A loop stands while something does not give it back: a decoder that is busy with an answer, a user type's own code. The thread is a
real one, not a greenlet. Python lets it run each few milliseconds, unless a library written in C holds the interpreter's lock; then
it runs as soon as that library returns, and the stack still shows who called it.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Callable
from types import FrameType

__all__ = ["STANDS_S", "LoopWatch", "place_in"]

STANDS_S = 1.0
LOOK_S = 0.25
SHOWN = 3  # functions, from the innermost on
LOG = logging.getLogger("loadflow.loop")

# since when the loop stands (monotonic, s), for how long so far, and what it is at
OnStanding = Callable[[float, float, str], None]


class LoopWatch:
    """`beat` is called by the loop; `on_standing` from the watch's thread, once for each time that the loop stands."""

    def __init__(self, thread_id: int, on_standing: OnStanding, sleep: Callable[[float], None] = time.sleep) -> None:
        self._thread_id = thread_id
        self._on_standing = on_standing
        self._sleep = sleep
        self._beat_s = time.monotonic()
        self._told_s = 0.0
        self._over = False

    def beat(self) -> None:
        self._beat_s = time.monotonic()

    def end(self) -> None:
        self._over = True

    def run(self) -> None:
        while not self._over:
            self._sleep(LOOK_S)
            self.look()

    def look(self) -> None:
        """Whether it stands now; said once."""
        beat_s = self._beat_s
        stood_s = time.monotonic() - beat_s
        if stood_s < STANDS_S or beat_s == self._told_s or self._over:
            return
        self._told_s = beat_s
        frame = sys._current_frames().get(self._thread_id)
        LOG.warning("the loop has not moved for %.1f s:\n%s", stood_s, "".join(traceback.format_stack(frame)))
        self._on_standing(beat_s, stood_s, place_in(frame))


def place_in(frame: FrameType | None) -> str:
    """What a stack is at, in words: the step, and the innermost functions.

    >>> import sys
    >>> place_in(sys._getframe()).split(" (")[0]
    '<module>'
    """
    functions: list[str] = []
    step = ""
    while frame is not None:
        code = frame.f_code
        if len(functions) < SHOWN:
            functions.append(f"{code.co_name} ({'/'.join(code.co_filename.split('/')[-2:])}:{frame.f_lineno})")
        prepared = getattr(frame.f_locals.get("self"), "_prepared", None) if code.co_name == "_attempt" else None
        if prepared is not None:
            step = f"step {prepared.method} {prepared.name or '(a name with placeholders)'}: "
            break
        frame = frame.f_back
    return f"{step}{' in '.join(functions)}"
