"""The embedded server that Prefect starts where no API is configured: it must not outlive the process whose flows it serves."""

from __future__ import annotations

import contextlib

import psutil
from prefect.settings import get_current_settings

from loadflow.engine.forked.survivors import guard_survivors
from loadflow.engine.process.lineage import STARTER_VARIABLE, identity_of, own_identity

__all__ = ["EMBEDDED_SERVER", "guard_embedded_server"]

# the argument by which the server is known among the processes that this one starts
EMBEDDED_SERVER = "prefect.server.api.server:create_app"

_guarded: set[str] = set()  # identities


def guard_embedded_server() -> None:
    """From now on it ends with this process, even if that is killed with -9. Does nothing where an API is configured.

    Prefect ends it by an exit hook, which a process that is killed does not run. `loadflow run` marks it before it is started.
    """
    if get_current_settings().api.url:
        return
    for process in psutil.Process().children():
        try:
            # a guard has the server's argument, too
            if not {"uvicorn", EMBEDDED_SERVER} <= set(process.cmdline()) or process.environ().get(STARTER_VARIABLE) == own_identity():
                continue
        except psutil.Error:  # it has just ended
            continue
        identity = identity_of(process.pid)
        if identity and identity not in _guarded:
            _guarded.add(identity)
            with contextlib.suppress(OSError):  # no room for another process: the exit hook is still there
                guard_survivors(EMBEDDED_SERVER, identity)
