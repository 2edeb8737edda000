"""What the scripts of a server's clients may reach, and the session that each of them gets."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from loadflow.engine.control.limits import Limits
from loadflow.engine.plan.cluster import Workers
from loadflow.engine.session.guard import Guard
from loadflow.engine.session.kept_values import KeptValues
from loadflow.engine.session.observer import Observer
from loadflow.engine.session.session import Session, current_session
from loadflow.engine.session.table import guarded_commands

__all__ = ["Hosting"]


class Hosting:
    """`root` (None: the working directory) is the folder that scripts of clients read and write files in. `allow_env` are the variables
    that `${env.NAME}` may name, `allow_commands` what is opened of guarded commands and of the own commands of `session` (None: the
    current one), `allow_packages` what LD_add_package_to_executor may load. `observers` watch every run.
    `workers` make the loads; None: this machine.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        root: str | os.PathLike[str] | None = None,
        allow_env: Iterable[str] = (),
        allow_commands: Iterable[str] = (),
        allow_packages: Iterable[str] = (),
        session: Session | None = None,
        observers: Iterable[Observer] = (),
        workers: Workers | None = None,
    ) -> None:
        self.root = Path(root or ".").resolve()
        self._limits = limits
        self._host = session or current_session()
        self._packages = tuple(allow_packages)
        self._observers = tuple(observers)
        self._workers = workers
        allowed = set(allow_commands)
        self._own_commands = {name: one for name, one in self._host.own_commands.items() if name in allowed}
        self._guard = Guard(self.root, frozenset(allow_env), guarded_commands() - allowed, limits.users, limits.engine_threads)

    def new_session(self, label: str) -> Session:
        """The session of one script."""
        session = Session(
            name="control",
            label=label,
            runs_dir=self._host.runs_dir,
            report_dir=self.root,
            observers=self._observers,
            own_commands=self._own_commands,
            allowed_packages=self._packages,
            guard=self._guard,
            workers=self._workers,
        )
        session.kept = KeptValues(self._limits.value_bytes)
        return session
