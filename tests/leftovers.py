"""Nothing that a test session started outlives it, however the session ends.

The session marks its own environment, which every process that a test starts inherits, and starts a guard with a pipe whose
other end only the session holds. At the end of the session all marked processes should be gone; those that are not are named,
ended, and fail the session. When the session is killed, the pipe closes and the guard ends them.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil

__all__ = ["VARIABLE", "Guard", "end_marked", "marked"]

VARIABLE = "LOADFLOW_TEST_SESSION"
QUIET_S = 10.0  # how long nothing may change among processes that are about to end, before they count as left behind


def marked(session: str) -> Iterator[psutil.Process]:
    """Every process of the session, and of sessions that its tests started, but this one and those that are dead already."""
    mark = f"{VARIABLE}={session}".encode()
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            entries = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
            own = any(entry == mark or entry.startswith(mark + b".") for entry in entries)
            if own and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                yield process


def end_marked(session: str) -> None:
    """Until none is left: one that is about to be killed may just have started another."""
    while found := list(marked(session)):
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(found, timeout=1)


class Guard:
    """Of one session; on other systems than Linux, where the environment of a process can't be read so, it does nothing."""

    def __init__(self) -> None:
        outer = os.environ.get(VARIABLE)  # of a session whose test started this one
        self.session = ".".join(part for part in (outer, uuid.uuid4().hex) if part)
        os.environ[VARIABLE] = self.session
        self._process: subprocess.Popen[bytes] | None = None
        if sys.platform == "linux":
            environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
            command = [sys.executable, __file__, self.session]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, env=environment)

    def close(self) -> list[str]:
        """The command lines of processes that were left behind; they are ended."""
        if self._process is None:
            return []
        left = self._wait()
        end_marked(self.session)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        return left

    def _wait(self) -> list[str]:
        """What is about to end has time for it, as long as there is less of it each time."""
        fewest, until_s = 1 << 30, 0.0
        while found := list(marked(self.session)):
            if len(found) < fewest:
                fewest, until_s = len(found), time.monotonic() + QUIET_S
            if time.monotonic() > until_s:
                break
            time.sleep(0.1)
        left = []
        for process in found:
            with contextlib.suppress(psutil.Error):
                left.append(f"{process.pid}: {' '.join(process.cmdline())[:200]}")
        return left


def main() -> None:
    while os.read(0, 4_096):
        pass
    end_marked(sys.argv[1])


if __name__ == "__main__":
    main()
