"""`subprocess.Popen` of this process, by a warm process that is below it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from dataclasses import asdict, replace
from typing import Any

from tests.warm.asked import Asked, asked_for
from tests.warm.process import become, keep_only, run

__all__ = ["OwnForks", "Starter", "install", "installed", "uninstall"]

EXECUTE = subprocess.Popen._execute_child  # type: ignore[attr-defined]


class Starter:
    """Asks the warm process at the other end of `link`. Only the process that made it may: its child would not be that of a fork of it."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._owner = os.getpid()
        self._made = os.fstat(link.fileno()).st_ino
        self._lock = threading.Lock()
        self.is_on = True

    def start(self, asked: Asked, fds: list[int]) -> int | None:
        """The pid of the new process, which is a child of this one; None where the warm process is gone."""
        if not self.is_on or os.getpid() != self._owner:
            return None
        body = json.dumps(asdict(asked)).encode()
        with self._lock:
            try:
                if os.fstat(self._link.fileno()).st_ino != self._made:  # somebody closed it, and opened something else
                    return None
                socket.send_fds(self._link, [len(body).to_bytes(8, "big")], fds)
                self._link.sendall(body)
                answer = self._link.recv(8)
            except OSError:
                return None
        return int.from_bytes(answer, "big") or None

    def close(self) -> None:
        self._link.close()


class OwnForks:
    """In a supervisor, which has one thread: what it starts are forks of itself, so that there is no other process below it."""

    is_on = True

    def start(self, asked: Asked, fds: list[int]) -> int:
        pid = os.fork()
        if pid == 0:
            keep_only(fds, asked.fds)
            become(asked)
            run(asked)
        return pid


_installed: list[Starter | OwnForks] = []


def installed() -> Starter | OwnForks | None:
    """Whom `Popen` of this process asks: a process that began warm has one."""
    return _installed[-1] if _installed else None


def uninstall() -> None:
    _installed.clear()
    subprocess.Popen._execute_child = EXECUTE  # type: ignore[attr-defined]


def install(starter: Starter | OwnForks) -> None:
    """From now on `Popen` asks `starter` first."""

    def execute_child(self: Any, *given: Any) -> None:
        (args, executable, preexec_fn, _, pass_fds, cwd, env, _, _, shell, *pipes), rest = given[:16], given[16:]
        _, gid, gids, uid, umask, new_session, group = rest
        as_here = not shell and gid is gids is uid is None and umask == -1
        asked = asked_for(args, executable, preexec_fn, cwd, env) if starter.is_on and as_here else None
        if asked is not None:
            stdin, stdout, stderr = pipes[0], pipes[3], pipes[5]
            streams = [number if one == -1 else one for number, one in enumerate((stdin, stdout, stderr))]
            passed = sorted(set(pass_fds) - {0, 1, 2})
            asked = replace(asked, fds=[0, 1, 2, *passed], new_session=new_session, group=-1 if group is None else group)
            pid = starter.start(asked, [*streams, *passed])
            if pid is not None:
                self.pid = pid
                self._child_created = True
                self._close_pipe_fds(*pipes)
                return
        EXECUTE(self, *given)

    _installed[:] = [starter]
    subprocess.Popen._execute_child = execute_child  # type: ignore[attr-defined]
