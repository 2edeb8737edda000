"""Runs a callable under a deadline that holds, whatever the callable does."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from loadflow.engine.records.run import Run
from loadflow.engine.reliability.forked import ForkedCall, Raised, Returned, Tell
from loadflow.engine.session import Observer, Session, current_session
from loadflow.errors import RunError, WatchdogTimeout

__all__ = ["with_watchdog"]

T = TypeVar("T")


@dataclass(frozen=True)
class _RunStarted:
    folder: str


@dataclass(frozen=True)
class _RunsCleared:
    folders: frozenset[str]


def with_watchdog(
    callable_: Callable[..., T],
    *args: Any,
    timeout_seconds: float = 300.0,
    on_timeout: Callable[[], object] | None = None,
    **kwargs: Any,
) -> T:
    """Call `callable_(*args, **kwargs)` and give its value or raise its error; after `timeout_seconds`, end it and all it started.

    The callable runs in a child process made by fork, so also what computes without end or is stuck in C is ended: the child is
    killed, its descendants (engines of a load too) get TERM and seconds later KILL. Then `on_timeout` is called, and
    WatchdogTimeout, a TimeoutError, is raised; an error of `on_timeout` becomes its cause. Errors of the callable, SystemExit and
    KeyboardInterrupt included, are raised here with the child's traceback as a note. RunError when the child died, or when the
    result can't be pickled.

    What a fork means: values come back as pickled copies, and what the callable changes in memory (globals, registered variables,
    what it installs) stays in the child. Runs of load do come back, into the current session, also those that were cut off.
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
    child = ForkedCall(call, what)
    outcome: Returned | Raised | None = None
    try:
        for message in child.messages(until_s):
            match message:
                case Returned() | Raised():
                    outcome = message
                case _:
                    _adopt(session, message)
    finally:
        if outcome is None:
            child.end()
        else:
            child.close()
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
    """Tells the parent of each run when its folder is there: later the child may have no time left for it."""

    def __init__(self, tell: Tell, runs: Iterable[Run]) -> None:
        self._tell = tell
        # folders may be relative, and the callable may go elsewhere
        self.keys = {id(run): _key(run) for run in runs}

    def run_started(self, run: Run) -> None:
        self.keys[id(run)] = _key(run)
        self._tell(_RunStarted(_key(run)))


def _in_session(session: Session, tell: Tell, call: Callable[[], T]) -> T:
    """In the child: call, and tell what happened to the session's runs."""
    teller = _Teller(tell, session.all_runs)
    session.observers.append(teller)
    try:
        return call()
    finally:
        kept = {id(run) for run in session.runs}
        cleared = frozenset(teller.keys[id(run)] for run in session.all_runs if id(run) in teller.keys.keys() - kept)
        if cleared:
            tell(_RunsCleared(cleared))


def _adopt(session: Session, message: object) -> None:
    """In the parent: what the child told of its runs."""
    match message:
        case _RunStarted(folder):
            session.keep(Run.open(folder))
        case _RunsCleared(folders):
            session.runs[:] = [run for run in session.runs if _key(run) not in folders]
        case _:
            raise RunError(f"the watchdog's process told {type(message).__name__}, which nobody knows")


def _key(run: Run) -> str:
    return str(run.folder.resolve())
