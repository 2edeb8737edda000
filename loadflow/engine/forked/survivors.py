"""Ends what a process leaves behind when it can't do so itself: killed with -9, it runs no exit hook.

`python -P -m loadflow.engine.forked.survivors IDENTITY WORD [CHILD]` waits for the end of its standard input, the *lifeline*, whose
other end only that process holds. Then it ends the processes that carry its mark (see lineage.py), and the one of the identity CHILD, if
they have the argument WORD.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time

from loadflow.engine.process.launch import child_environment
from loadflow.engine.process.lineage import identity_of, own_identity, pid_of

__all__ = ["guard_survivors"]

GRACE_S = 2.0  # from TERM to KILL
SECOND_LOOK_S = 0.5  # a process that was killed while it started another: that one has its mark a moment later

_guards: list[subprocess.Popen[bytes]] = []  # their pipes are the lifelines, so they stay open as long as this process


def guard_survivors(word: str, child: str = "") -> None:
    """From now on no process that this one marks as its own and that has the argument `word` outlives it, however it ends.

    `child`: the identity of one that was started without a mark.
    """
    guard = subprocess.Popen(
        [sys.executable, "-P", "-m", "loadflow.engine.forked.survivors", own_identity(), word, child],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=child_environment(),
    )
    _guards.append(guard)


def main(identity: str, word: str, child: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    while sys.stdin.buffer.read(4_096):
        pass
    end_survivors(identity, word, child)
    time.sleep(SECOND_LOOK_S)
    end_survivors(identity, word, child)


def end_survivors(identity: str, word: str, child: str) -> None:
    import psutil

    from loadflow.engine.forked.orphans import end_processes, marked_processes

    found = []
    pid = pid_of(child)
    own = [psutil.Process(pid)] if pid and identity_of(pid) == child else []
    for process in [*marked_processes(identity), *own]:
        with contextlib.suppress(psutil.Error):
            command = process.cmdline()
            if word in command and process.pid != os.getpid():
                found.append(process)
    end_processes(found, GRACE_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
