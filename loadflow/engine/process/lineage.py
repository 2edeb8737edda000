"""Who started an engine process, known by a mark in its environment: a process, named so that no later one can be taken for it."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path

__all__ = ["STARTER_VARIABLE", "identity_of", "own_identity", "pid_of"]

# set for the supervisor of a load, and inherited by all that it starts: the identity of the process that started the load
STARTER_VARIABLE = "LOADFLOW_STARTED_BY"


def own_identity() -> str:
    return identity_of(os.getpid())


def identity_of(pid: int) -> str:
    """`<pid>:<when it began>:<where>`, the same while the process lives and never again; "" when there is none, or only its zombie.

    On Linux the beginning is in clock ticks since the boot (proc(5), field 22 of stat): unlike a time of day, it does not change
    when the clock is set. Where is the namespace of pids that this process is in: a container counts its own.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            # the name, in parentheses, may hold anything
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            return "" if fields[0] in ("Z", "X") else f"{pid}:{fields[19]}:{_namespace()}"
        return ""
    import psutil

    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else f"{pid}:{process.create_time():.2f}:"
    return ""


def pid_of(identity: str) -> int | None:
    """None if it is not an identity, or is from another pid namespace."""
    found = re.fullmatch(r"(\d+):[\d.]+:(\d*)", identity)
    return int(found[1]) if found and found[2] == _namespace() else None


def _namespace() -> str:
    with contextlib.suppress(OSError):
        return str(Path("/proc/self/ns/pid").stat().st_ino)
    return ""
