"""Ctrl-C, SIGTERM, SIGHUP and SIGQUIT: the first ends the load and keeps its results, the second ends everything at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

from loadflow.engine.base.verdict import EXIT_CODES, VerdictKind
from loadflow.engine.session.observer import Observer
from loadflow.interrupting import STOPS, heldable, was_interrupted

if TYPE_CHECKING:
    from loadflow.engine.records.run import Run
    from loadflow.engine.records.summary import Summary

__all__ = ["StopSignals"]


class StopSignals(Observer):
    """Holds these signals for the length of a `with` block, and passes them on to the engine.

    While load runs, the first signal asks the engine to end and drain. Before and after, there is nothing to drain: it raises
    KeyboardInterrupt, unless `raises` is false: then the next load ends as it begins. A KeyboardInterrupt may be lost, or come out
    as another error, where a library calls back from C (pydantic does); so code that catches errors looks at `asked`: why the end was
    asked for, "" while it was not. `before_end` gives the terminal back. `promise` says what the first signal does.
    """

    def __init__(
        self,
        before_end: Callable[[], None] = lambda: None,
        promise: str = "ending the load and keeping its results",
        *,
        raises: bool = True,
    ) -> None:
        self.asked = ""
        self._before_end = before_end
        self._promise = promise
        self._raises = raises
        self._loading = 0
        self._previous: dict[signal.Signals, Callable[[int, FrameType | None], object] | int | None] = {}

    def __enter__(self) -> StopSignals:
        self._previous = {number: signal.getsignal(number) for number in heldable()}
        self._install()
        if was_interrupted() and self._raises:  # before, while a library had it
            self.asked = STOPS[signal.SIGINT]
            raise KeyboardInterrupt(self.asked)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    # -- what the engine calls

    def run_started(self, run: Run) -> None:
        self._loading += 1
        self._during_run = {number: signal.getsignal(number) for number in heldable()}
        # a Prefect flow has put its own SIGTERM handler in place, which would break the load off without results
        self._install()

    def run_ended(self, run: Run, summary: Summary) -> None:
        self._loading -= 1
        if threading.current_thread() is threading.main_thread():
            for number, handler in self._during_run.items():
                signal.signal(number, handler)

    def stop_requested(self) -> str:
        return self.asked

    # -- signals

    def _install(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in heldable():
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            self._end_at_once()
        self.asked = STOPS[signal.Signals(number)]
        if self._raises and not self._loading:
            raise KeyboardInterrupt(self.asked)
        _say(f"{self.asked}: {self._promise}; once more ends at once")

    def _end_at_once(self) -> None:
        self._before_end()
        _say("ended at once")
        end_children()
        # no clean-up: it could hang, which is why there was a second signal; the engine's supervisor ends by its lifeline
        os._exit(EXIT_CODES[VerdictKind.INTERRUPTED])


def end_children() -> None:
    """Ask all child processes to end; Prefect's embedded server is one, and would outlive us."""
    import psutil

    for child in psutil.Process().children():
        child.terminate()


def _say(text: str) -> None:
    sys.stderr.write(f"\n{text}\n")
    sys.stderr.flush()
