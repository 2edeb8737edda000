"""The null target as who measures sees it: a process of its own, which is gone when the measuring is over."""

from __future__ import annotations

import subprocess
import sys
from types import TracebackType

import psutil

from loadflow.engine.process.launch import child_environment
from loadflow.errors import RunError

__all__ = ["NullTarget"]

END_S = 5.0  # it does nothing at its end


class NullTarget:
    """A context manager. `url` is where it answers, `kind` what it is made of."""

    def __init__(self) -> None:
        self.url = ""
        self.kind = ""

    def __enter__(self) -> NullTarget:
        # a session of its own: a Ctrl-C is the parent's, whose end it follows
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "loadflow.engine.calibration.null_target"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=child_environment(),
        )
        assert self._process.stdout is not None
        port, _, self.kind = self._process.stdout.readline().strip().partition(" ")
        if not port:
            _, said = self._process.communicate(timeout=END_S)
            last = (said.strip().splitlines() or ["no message"])[-1]
            raise RunError(f"the target of the calibration can't be started: {last}; `loadflow doctor` says whether loopback works")
        self.url = f"http://127.0.0.1:{port}"
        return self

    def cpu_s(self) -> float:
        """The time of a core that it has used so far."""
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._process.communicate(timeout=END_S)  # closes its standard input
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
