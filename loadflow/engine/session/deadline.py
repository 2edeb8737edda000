"""Ends a Python call that takes too long, by raising WatchdogTimeout inside it.

On the main thread by a timer signal, elsewhere by an asynchronous exception. Both act between two bytecodes: code that is
stuck in C is not ended. Load has a deadline of its own, in the supervisor process, which does end it.
"""

from __future__ import annotations

import ctypes
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from loadflow.errors import WatchdogTimeout

__all__ = ["deadline"]


@contextmanager
def deadline(timeout_s: float | None, what: str) -> Iterator[None]:
    """Raise WatchdogTimeout in the block once `timeout_s` have passed; None: never."""
    if timeout_s is None:
        yield
    elif threading.current_thread() is threading.main_thread() and signal.getitimer(signal.ITIMER_REAL)[0] == 0:
        with _by_signal(timeout_s, what):
            yield
    else:
        with _by_exception(timeout_s, what):
            yield


def _message(timeout_s: float, what: str) -> str:
    return f"{what} took longer than {timeout_s:g} s and was ended; give it a longer timeout_seconds"


@contextmanager
def _by_signal(timeout_s: float, what: str) -> Iterator[None]:
    def end(signum: int, frame: FrameType | None) -> None:
        raise WatchdogTimeout(_message(timeout_s, what))

    previous = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@contextmanager
def _by_exception(timeout_s: float, what: str) -> Iterator[None]:
    thread = threading.get_ident()
    over = threading.Event()
    lock = threading.Lock()
    fired = False

    def wait() -> None:
        nonlocal fired
        if not over.wait(timeout_s):
            with lock:
                if not over.is_set():
                    fired = True
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(WatchdogTimeout))

    timer = threading.Thread(target=wait, name="loadflow-watchdog", daemon=True)
    timer.start()
    try:
        yield
    except WatchdogTimeout as error:
        # the asynchronous exception is a bare class: give it its words
        raise (WatchdogTimeout(_message(timeout_s, what)) if fired and not error.args else error) from None
    finally:
        with lock:
            over.set()
