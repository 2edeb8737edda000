"""Runs a callable under a deadline that holds, whatever the callable does."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from loadflow.engine.forked.forked import ForkedCall, Raised, Returned, Tell
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.records.spans import SpanBatch
from loadflow.engine.records.summary import Summary
from loadflow.engine.session.observer import Observer
from loadflow.engine.session.session import Session, current_session
from loadflow.errors import RunError, WatchdogTimeout

__all__ = ["with_watchdog"]

T = TypeVar("T")


@dataclass(frozen=True)
class _RunStarted:
    folder: str


@dataclass(frozen=True)
class _Second:
    folder: str
    snapshot: Snapshot


@dataclass(frozen=True)
class _Spans:
    folder: str
    batch: SpanBatch


@dataclass(frozen=True)
class _RunEnded:
    folder: str


@dataclass(frozen=True)
class _RunsCleared:
    folders: frozenset[str]


def with_watchdog(
    callable_: Callable[..., T],
    *args: object,
    timeout_seconds: float = 300.0,
    on_timeout: Callable[[], object] | None = None,
    **kwargs: object,
) -> T:
    """Call `callable_(*args, **kwargs)` and give its value or raise its error; after `timeout_seconds`, end it and all it started.

    The callable runs in a child process made by fork, so also what computes without end or is stuck in C is ended: the child is
    killed, its descendants (engines of a load too) get TERM and seconds later KILL. Then `on_timeout` is called, and
    WatchdogTimeout, a TimeoutError, is raised; an error of `on_timeout` becomes its cause. Errors of the callable, SystemExit and
    KeyboardInterrupt included, are raised here with the child's traceback as a note. RunError when the child died, or when the
    result can't be pickled.

    What a fork means: values come back as pickled copies, and what the callable changes in memory (globals, registered variables,
    what it installs) stays in the child. Runs of load do come back, into the current session, also those that were cut off; the
    session's exporters, whose threads stay here, hear of them.
    Of several threads only the calling one goes on in the child: a lock that another one held stays locked there, so call this
    before threads are started, not inside of a Prefect flow, where an action's `timeout_seconds` does the same.

    >>> with_watchdog(pow, 2, 10, timeout_seconds=60)
    1024
    """
    if not 0 < timeout_seconds < math.inf:
        raise ValueError(f"timeout_seconds must be more than 0, and finite, not {timeout_seconds}")
    session = current_session()
    what = getattr(callable_, "__qualname__", None) or repr(callable_)

    def call(tell: Tell) -> T:
        return _in_session(session, tell, lambda: callable_(*args, **kwargs))

    until_s = time.monotonic() + timeout_seconds
    runs = _Runs(session)
    child = ForkedCall(call, what)
    outcome: Returned | Raised | None = None
    try:
        for message in child.messages(until_s):
            match message:
                case Returned() | Raised():
                    outcome = message
                case _:
                    runs.adopt(message)
    finally:
        if outcome is None:
            child.end()
        else:
            child.close()
        runs.over()
    match outcome:
        case Returned():
            value: T = outcome.value
            return value
        case Raised():
            if outcome.trace:
                outcome.error.add_note(f"in the process that the watchdog watched:\n{outcome.trace}")
            raise outcome.error
        case None:
            raise _timeout(f"{what} took longer than {timeout_seconds:g} s and was ended; give it a longer timeout_seconds", on_timeout)


def _timeout(message: str, on_timeout: Callable[[], object] | None) -> WatchdogTimeout:
    timeout = WatchdogTimeout(message)
    if on_timeout is not None:
        try:
            on_timeout()
        except Exception as error:  # noqa: BLE001  the caller's own code: its error must not hide that the time was over
            timeout = WatchdogTimeout(f"{message}; and on_timeout failed: {type(error).__name__}: {error}")
            timeout.__cause__ = error
    return timeout


class _Teller(Observer):
    """Tells the parent of each run when its folder is there: later the child may have no time left for it.

    `seconds`: each second too, because an observer there needs them.
    """

    def __init__(self, tell: Tell, runs: Iterable[Run], *, seconds: bool) -> None:
        self._tell = tell
        self._seconds = seconds
        # folders may be relative, and the callable may go elsewhere
        self.keys = {id(run): _key(run) for run in runs}

    def run_started(self, run: Run) -> None:
        self.keys[id(run)] = _key(run)
        self._tell(_RunStarted(_key(run)))

    def snapshot(self, run: Run, snapshot: Snapshot) -> None:
        if self._seconds:
            self._tell(_Second(self.keys[id(run)], snapshot))

    def spans(self, run: Run, batch: SpanBatch) -> None:
        self._tell(_Spans(self.keys[id(run)], batch))

    def run_ended(self, run: Run, summary: Summary) -> None:
        self._tell(_RunEnded(self.keys[id(run)]))


def _in_session(session: Session, tell: Tell, call: Callable[[], T]) -> T:
    """In the child: call, and send to the parent what happened to the session's runs."""
    exporters = list(session.exporters.values())
    teller = _Teller(tell, session.all_runs, seconds=bool(exporters))
    session.observers[:] = [*(one for one in session.observers if one not in exporters), teller]
    try:
        return call()
    finally:
        kept = {id(run) for run in session.runs}
        cleared = frozenset(teller.keys[id(run)] for run in session.all_runs if id(run) in teller.keys.keys() - kept)
        if cleared:
            tell(_RunsCleared(cleared))


class _Runs:
    """In the parent: the child's runs, for the session and its exporters."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._exporters = tuple(session.exporters.values())
        self._going: dict[str, Run] = {}

    def adopt(self, message: object) -> None:
        """What the child sent about its runs."""
        match message:
            case _RunStarted(folder):
                run = self._going[folder] = Run.open(folder)
                self._session.keep(run)
                for exporter in self._exporters:
                    exporter.run_started(run)
            case _Second(folder, snapshot):
                for exporter in self._exporters:
                    exporter.snapshot(self._going[folder], snapshot)
            case _Spans(folder, batch):
                for exporter in self._exporters:
                    exporter.spans(self._going[folder], batch)
            case _RunEnded(folder):
                self._end(self._going.pop(folder))
            case _RunsCleared(folders):
                self._session.runs[:] = [run for run in self._session.runs if _key(run) not in folders]
            case _:
                raise RunError(f"the watchdog's process sent an unknown message, {type(message).__name__}")

    def over(self) -> None:
        """The child is gone, and with it the loads that were going on."""
        while self._going:
            self._end(self._going.popitem()[1])

    def _end(self, run: Run) -> None:
        if self._exporters:
            summary = run.summary()
            for exporter in self._exporters:
                exporter.run_ended(run, summary)


def _key(run: Run) -> str:
    return str(run.folder.resolve())
