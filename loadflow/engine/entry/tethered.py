"""Becomes another program, which ends when its starter does: `python -P -m loadflow.engine.entry.tethered PROGRAM ARGUMENT…`.

A small process stays between the two. It ends the program when its own standard input ends, which is when the starter is gone, however
it went; on Linux the kernel ends the program when this process is killed. A TERM is passed on.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

from loadflow.engine.entry.supervisor import _ends_of_children, die_with_supervisor

__all__ = ["main"]

GRACE_S = 3.0


def main() -> int:
    ended = _ends_of_children()
    program = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, preexec_fn=die_with_supervisor)
    signal.signal(signal.SIGTERM, lambda *_: program.terminate())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while program.poll() is None:
        ready, _, _ = select.select([0, ended], [], [])
        if ended in ready:
            os.read(ended, 4_096)
        elif 0 in ready and not os.read(0, 4_096):
            program.terminate()
            try:
                return program.wait(timeout=GRACE_S)
            except subprocess.TimeoutExpired:
                program.kill()
    return program.wait()


if __name__ == "__main__":
    sys.exit(main())
