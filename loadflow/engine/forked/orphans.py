"""Ends engine processes whose parent is gone, and nothing else.

Every process of a load carries in its environment who started the load: pid and beginning of that process. It is an orphan
when its line of parents, as far as they carry the same mark, does not lead to that very process. Names are not looked at: an
editor with "locust" in its command line has no mark, and a later process with the same pid has another beginning.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable

import psutil

from loadflow.engine.process.lineage import STARTER_VARIABLE, identity_of, pid_of

__all__ = ["ProcessSupervisor", "end_processes", "marked_processes"]


class ProcessSupervisor:
    """Finds and ends the leftovers of loads, of all sessions of this user on this machine.

    Normally there are none: a load's own supervisor ends its engines within seconds after its parent died. `name_substrings`
    is taken for compatibility and never decides: only what loadflow itself started is ended. `grace_seconds` is from TERM to
    KILL; TERM lets an engine write its last hits.
    """

    def __init__(self, name_substrings: tuple[str, ...] = ("locust", "gevent"), grace_seconds: float = 2.0) -> None:
        if not grace_seconds >= 0:
            raise ValueError(f"grace_seconds must be 0 or more, not {grace_seconds}")
        self.name_substrings = name_substrings
        self.grace_seconds = grace_seconds
        self.killed: list[int] = []

    def orphans(self) -> list[psutil.Process]:
        """Processes of loads whose starter is gone. Processes that can't be inspected belong to another user."""
        own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
        marks = marked_processes()
        return [process for process, mark in marks.items() if process.pid not in own and not _is_owned(process, mark, marks)]

    def kill_orphans(self) -> list[int]:
        """End them, TERM first; returns the pids of those that were there, and keeps them in `killed`."""
        orphans = self.orphans()
        end_processes(orphans, self.grace_seconds)
        self.killed = [process.pid for process in orphans]
        return list(self.killed)


def marked_processes(starter: str = "") -> dict[psutil.Process, str]:
    """The processes of loads, and who started each; with `starter` (an identity), those of its loads only."""
    found: dict[psutil.Process, str] = {}
    for process in psutil.process_iter():
        try:
            mark = process.environ().get(STARTER_VARIABLE, "")
        except (psutil.Error, OSError):  # gone by now, a zombie, or of another user, so none of ours
            continue
        if mark == (starter or mark) and pid_of(mark) is not None:
            found[process] = mark
    return found


def end_processes(processes: Iterable[psutil.Process], grace_s: float) -> None:
    """TERM, and KILL for those that are still there after the grace. psutil refuses to signal a pid that was given away anew."""
    processes = list(processes)
    for process in processes:
        _signal(process.terminate)
    _, alive = psutil.wait_procs(processes, timeout=grace_s)
    for process in alive:
        _signal(process.kill)
    psutil.wait_procs(alive, timeout=1.0)


def _is_owned(process: psutil.Process, mark: str, marks: dict[psutil.Process, str]) -> bool:
    by_pid = {one.pid: one for one, other in marks.items() if other == mark}
    starter_pid = pid_of(mark)
    pid = process.pid
    for _ in range(len(by_pid) + 1):
        try:
            pid = by_pid[pid].ppid()
        except psutil.Error:
            return True  # it ends right now, or can't be asked: not ours to judge
        if pid == starter_pid and pid not in by_pid:
            return identity_of(pid) == mark
        if pid not in by_pid:
            return False
    return True


def _signal(send: Callable[[], None]) -> None:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        send()
