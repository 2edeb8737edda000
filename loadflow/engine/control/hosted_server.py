"""What the control plane over TCP and the one over HTTP are alike in: where they listen, who may come, what scripts may reach."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self, TypedDict

from loadflow.engine.control.access import Address, addresses_of, find_token, refuse_open_network, tls_context
from loadflow.engine.control.hosting import Hosting
from loadflow.engine.control.jobs import Jobs
from loadflow.engine.control.limits import Limits
from loadflow.engine.plan.cluster import Workers
from loadflow.engine.session.observer import Observer
from loadflow.engine.session.session import Session

__all__ = ["HostedServer", "ServerSettings"]


class ServerSettings(TypedDict, total=False):
    """`token`, else the first line of `token_file`, else LOADFLOW_SOCKET_TOKEN, is what clients have to send; without any, the host must be
    this machine's own. `root` (None: the working directory) is the folder that scripts of clients read and write files in; relative paths
    still count from the working directory. `allow_env` are the variables that `${env.NAME}` may name. Clients may call the table of
    commands but for guarded ones; `allow_commands` adds those, or own commands of the host's session, by name. `allow_packages` is what
    LD_add_package_to_executor may load, where that is allowed. `workers` make the loads; None: this machine.
    """

    token: str | None
    token_file: str | os.PathLike[str] | None
    certfile: str | os.PathLike[str] | None
    keyfile: str | os.PathLike[str] | None
    root: str | os.PathLike[str] | None
    allow_env: Iterable[str]
    allow_commands: Iterable[str]
    allow_packages: Iterable[str]
    limits: Limits | None
    session: Session | None
    workers: Workers | None


class HostedServer(ABC):
    """Listens from `start` to `close`; as a context manager, inside of the block."""

    def __init__(self, host: str, port: int, settings: ServerSettings, limits: Limits, observers: Sequence[Observer] = ()) -> None:
        """`limits` hold where `settings` has none. Raises CommandError for settings that don't go together."""
        self.host = host
        self.port = port
        self._limits = settings.get("limits") or limits
        self._token = find_token(settings.get("token"), settings.get("token_file"), os.environ)
        self._tls = tls_context(settings.get("certfile"), settings.get("keyfile"))
        self._hosting = Hosting(
            self._limits,
            root=settings.get("root"),
            allow_env=settings.get("allow_env", ()),
            allow_commands=settings.get("allow_commands", ()),
            allow_packages=settings.get("allow_packages", ()),
            session=settings.get("session"),
            observers=observers,
            workers=settings.get("workers"),
        )
        self._jobs = Jobs(self._hosting.new_session, self._limits, [self._token] if self._token else [])
        self._done = threading.Event()

    @property
    def tls(self) -> bool:
        return self._tls is not None

    @property
    def has_token(self) -> bool:
        return self._token is not None

    @property
    def root(self) -> Path:
        return self._hosting.root

    def addresses(self) -> list[Address]:
        """Where it will listen. Raises CommandError when that is open to others without a token, RunError for an unknown host."""
        addresses = addresses_of(self.host, self.port)
        refuse_open_network(addresses, self._token)
        return addresses

    @abstractmethod
    def start(self) -> Self:
        """Listen, and return; the serving is done on a thread of its own. Raises RunError when it can't listen."""

    @abstractmethod
    def quit(self, *, wait: bool = False) -> None:
        """Begin the end: accept no further clients, and ask running scripts to end, or `wait` for them however long they take."""

    @abstractmethod
    def close(self) -> None:
        """`quit`, and wait for the end, which is bounded: see `Limits.quit_s`."""

    def wait(self, timeout_s: float | None = None) -> bool:
        """Whether the server was over within `timeout_s`; None: wait for as long as it takes."""
        return self._done.wait(timeout_s)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()
