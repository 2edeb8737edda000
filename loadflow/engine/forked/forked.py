"""Calls a function in a child process made by fork, and can end it with all that it started.

The child is a copy of this process, with the calling thread only: it sees everything as it was at the fork, and what it changes
in memory stays with it. Messages come back through a pipe, pickled: what the child sends meanwhile, then its result.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import select
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psutil

from loadflow.engine.forked.orphans import end_processes, marked_processes
from loadflow.engine.process.lineage import identity_of
from loadflow.errors import RunError

__all__ = ["ForkedCall", "Raised", "Returned", "Tell"]

LENGTH = struct.Struct("<Q")
BLOCK_BYTES = 2**20
POLL_S = 0.1
END_GRACE_S = 4.0  # a load's supervisor needs up to 3 s to end its engines in an orderly way
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

Tell = Callable[[object], None]


@dataclass(frozen=True)
class Returned:
    value: Any


@dataclass(frozen=True)
class Raised:
    """`trace` is the traceback of the child, as text."""

    error: BaseException
    trace: str


class ForkedCall:
    """One call of `call(tell)` in a child; `what` is how messages name it."""

    def __init__(self, call: Callable[[Tell], object], what: str) -> None:
        if not hasattr(os, "fork"):
            raise RunError(f"{what} can't be watched here: this system has no fork; use Linux or macOS")
        # what is in the buffers would be written by both
        sys.stdout.flush()
        sys.stderr.flush()
        self._what = what
        self._parent = os.getpid()
        self._buffer = bytearray()
        self._status: int | None = None
        self._pipe, to_parent = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._pipe)
            self._be_child(call, to_parent)
        os.close(to_parent)
        self._identity = identity_of(self._pid)

    def messages(self, until_s: float) -> Iterator[Any]:
        """What the child sends, Returned or Raised last. Ends early at `until_s` on the monotonic clock: then nothing was last.

        Raises RunError when the child died without a result.
        """
        while True:
            while (message := self._next_message()) is not None:
                yield message
                if isinstance(message, Returned | Raised):
                    return
            gone = self._is_gone()
            left_s = until_s - time.monotonic()
            if left_s <= 0 and not gone:
                return
            ready, _, _ = select.select([self._pipe], [], [], 0 if gone else min(POLL_S, left_s))
            data = os.read(self._pipe, BLOCK_BYTES) if ready else b""
            self._buffer += data
            if not data and (gone or (ready and self._wait(1.0))):
                raise RunError(f"the process that ran {self._what} {self._how_it_ended()} before it gave a result")

    def end(self) -> None:
        """End the child and all its descendants, however stuck they are; nothing of them is left afterwards."""
        os.close(self._pipe)
        descendants: list[psutil.Process] = []
        if not self._is_gone():
            with contextlib.suppress(psutil.Error):
                child = psutil.Process(self._pid)
                child.suspend()  # it can't start more while we look
                descendants = child.children(recursive=True)
            os.kill(self._pid, signal.SIGKILL)
            self._wait(None)
        end_processes({*descendants, *(marked_processes(self._identity) if self._identity else ())}, END_GRACE_S)

    def close(self) -> None:
        """After its last message: the child has nothing left to do."""
        os.close(self._pipe)
        if not self._wait(1.0):
            os.kill(self._pid, signal.SIGKILL)
            self._wait(None)

    # -- the parent's side

    def _next_message(self) -> object:
        if len(self._buffer) < LENGTH.size:
            return None
        end = LENGTH.size + LENGTH.unpack_from(self._buffer)[0]
        if len(self._buffer) < end:
            return None
        data = bytes(self._buffer[LENGTH.size : end])
        del self._buffer[:end]
        try:
            return pickle.loads(data)
        except Exception as error:  # noqa: BLE001  whatever the class of the result does when it is made again
            return Raised(RunError(f"the result of {self._what} can't be passed back ({type(error).__name__}: {error}); {WAY_OUT}"), "")

    def _is_gone(self) -> bool:
        return self._wait(0.0)

    def _wait(self, wait_s: float | None) -> bool:
        """Whether the child ended within the time; None: waits for it."""
        until_s = time.monotonic() + (wait_s or 0.0)
        while self._status is None:
            try:
                pid, status = os.waitpid(self._pid, 0 if wait_s is None else os.WNOHANG)
            except ChildProcessError:  # other code in this process waits for every child
                self._status = 0
                break
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
            elif time.monotonic() >= until_s:
                return False
            else:
                time.sleep(0.005)
        return True

    def _how_it_ended(self) -> str:
        code = self._status or 0
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    # -- the child's side

    def _be_child(self, call: Callable[[Tell], object], to_parent: int) -> None:
        """Never returns: what the parent has on its stack must not run twice."""
        try:
            _tie_to(self._parent)
            signal.set_wakeup_fd(-1)  # it is the parent's event loop that would be woken

            def tell(message: object) -> None:
                _write(to_parent, pickle.dumps(message))

            outcome = self._outcome(call, tell)
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            _write(to_parent, outcome)
        except BaseException:  # noqa: BLE001  the outermost edge of this process
            with contextlib.suppress(OSError, ValueError):
                traceback.print_exc()
                sys.stderr.flush()
            os._exit(1)
        os._exit(0)

    def _outcome(self, call: Callable[[Tell], object], tell: Tell) -> bytes:
        try:
            value = call(tell)
        except BaseException as error:  # noqa: BLE001  passed on to the parent: also SystemExit and KeyboardInterrupt
            return _pickled_error(error, self._what)
        try:
            return pickle.dumps(Returned(value))
        except Exception as error:  # noqa: BLE001  whatever the class of the result does when it is pickled
            kind = type(value).__name__
            text = f"{self._what} returned a {kind}, which can't be passed back ({type(error).__name__}: {error}); {WAY_OUT}"
            return pickle.dumps(Raised(RunError(text), ""))


WAY_OUT = "return what pickle can carry, for example numbers, texts, lists and dicts, or write a file and return its path"


def _pickled_error(error: BaseException, what: str) -> bytes:
    """As it is, or, when its class can't be carried over, as a RunError that says all that is known of it."""
    trace = "".join(traceback.format_exception(error))
    try:
        data = pickle.dumps(Raised(error, trace))
        if type(pickle.loads(data).error) is type(error):
            return data
    except Exception:  # noqa: BLE001  whatever the class of the error does when it is pickled or made again
        pass
    return pickle.dumps(Raised(RunError(f"{what} raised {type(error).__qualname__}: {error}"), trace))


def _tie_to(parent: int) -> None:
    """On Linux: die when the parent is killed, and stay the ancestor of descendants that leave their own parents."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def _write(fd: int, data: bytes) -> None:
    rest = memoryview(LENGTH.pack(len(data)) + data)
    while rest:
        rest = rest[os.write(fd, rest) :]
