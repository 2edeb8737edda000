"""Stop signals before anything runs: from its first moment on, the command ends as interrupted, never as failed (1).

Imported before everything else, so it needs next to nothing. What makes load holds the signals itself: see loadflow/cli/stopping.py.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Collection, Iterator
from types import FrameType

__all__ = ["ENDING", "EXIT_CODE", "STOPS", "end_at_once", "heldable", "raise_for_interrupt", "stop_signals", "was_interrupted"]

ENDED_TWICE = 130  # as a shell has it for a program that a second Ctrl-C ended
EXIT_CODE = 4  # VerdictKind.INTERRUPTED's; importing it would take longer than what it is for
STOPS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP", signal.SIGQUIT: "SIGQUIT"}
ENDING = "ending the load and delivering its hits; once more ends at once"

_interrupted = False


def heldable() -> list[signal.Signals]:
    """The signals that ask for the end; without SIGHUP where it is ignored: nohup says that the terminal's end does not matter."""
    return [number for number in STOPS if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN]


def end_at_once() -> None:
    """From now on a stop signal ends this process at once. While modules are imported, an exception could be lost or replaced."""
    for number in heldable():
        signal.signal(number, _end)


def raise_for_interrupt() -> None:
    """From now on Ctrl-C raises KeyboardInterrupt, if it has ended the process until now."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, _raise)


@contextlib.contextmanager
def stop_signals(say: Callable[[str], None], but: Collection[signal.Signals] = ()) -> Iterator[Callable[[], str]]:
    """For an agent: the first stop signal ends its load and delivers it; a second one ends the process at once.

    Gives a function that says why to stop; "" while there is no reason. `but`: signals that are left as they are.
    """
    asked = ""

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            os._exit(ENDED_TWICE)  # the supervisors notice that we are gone, and end the load
        asked = STOPS[signal.Signals(number)]
        say(f"{asked}: {ENDING}")

    previous = {number: signal.signal(number, end) for number in heldable() if number not in but}
    try:
        yield lambda: asked
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def was_interrupted() -> bool:
    """Whether Ctrl-C came, even if its KeyboardInterrupt got lost or came out as another error."""
    return _interrupted


def _end(number: int, frame: FrameType | None) -> None:
    with contextlib.suppress(OSError):
        os.write(2, b"\ninterrupted\n")
    os._exit(EXIT_CODE)


def _raise(number: int, frame: FrameType | None) -> None:
    global _interrupted
    _interrupted = True
    raise KeyboardInterrupt
