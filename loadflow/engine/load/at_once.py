"""Loads of one command side by side, each on a thread of its own: a few at a time, and never two of one target."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import Any

from loadflow.engine.session.observer import Observer

__all__ = ["Todo", "in_turn", "work_off"]

POLL_S = 0.25  # a signal to this thread is heard so soon


@dataclass(frozen=True, slots=True)
class Todo:
    """One load. `target`: another one of it waits until this has ended."""

    target: str
    work: Callable[[], object]


class _Ending(Observer):
    """Ends all loads, once one of them can't go on."""

    def __init__(self) -> None:
        self.reason = ""

    def stop_requested(self) -> str:
        return self.reason


class _InTurn(Observer):
    """Calls `observer` from one thread at a time."""

    def __init__(self, observer: Observer, lock: threading.RLock) -> None:
        self._observer, self._lock = observer, lock
        self.traces = observer.traces

    def _call(self, name: str, *given: object) -> Any:
        with self._lock:
            return getattr(self._observer, name)(*given)

    def run_started(self, *given: object) -> None:
        self._call("run_started", *given)

    def snapshot(self, *given: object) -> None:
        self._call("snapshot", *given)

    def spans(self, *given: object) -> None:
        self._call("spans", *given)

    def run_ended(self, *given: object) -> None:
        self._call("run_ended", *given)

    def judged(self, *given: object) -> None:
        self._call("judged", *given)

    def stop_requested(self) -> str:
        return str(self._call("stop_requested"))

    def rate_factor(self) -> float:
        return float(self._call("rate_factor"))


def in_turn(observers: Sequence[Observer]) -> tuple[list[Observer], _Ending]:
    """The observers, fit for loads on several threads; and what ends all of these loads."""
    lock, ending = threading.RLock(), _Ending()
    return [*(_InTurn(one, lock) for one in observers), ending], ending


def work_off(todo: Sequence[Todo], at_once: int, ending: _Ending) -> None:
    """Do all of it, in order as far as targets allow. What one raises, or this thread is interrupted by, ends the others first."""
    if at_once == 1:  # on this thread, which signals come to
        for one in todo:
            one.work()
        return
    waiting, going = list(todo), dict[Future[object], Todo]()
    with ThreadPoolExecutor(at_once, "loadflow-load") as pool:
        try:
            while waiting or going:
                for one in _fit(waiting, list(going.values()), at_once):
                    waiting.remove(one)
                    going[pool.submit(partial(contextvars.copy_context().run, one.work))] = one
                for done in wait(going, POLL_S, FIRST_COMPLETED).done:
                    del going[done]
                    done.result()
        except BaseException as error:
            ending.reason = f"another load could not go on: {error}" if isinstance(error, Exception) else str(error) or "stopped"
            wait(going)
            raise


def _fit(waiting: Sequence[Todo], going: Sequence[Todo], at_once: int) -> list[Todo]:
    """Which can begin beside those that are going."""
    found: list[Todo] = []
    busy = {one.target for one in going}
    for one in waiting:
        if len(going) + len(found) >= at_once:
            break
        if one.target not in busy:
            found.append(one)
            busy.add(one.target)
    return found
