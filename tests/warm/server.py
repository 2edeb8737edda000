"""The warm process: imports what is used most, and forks on request."""

from __future__ import annotations

import gc
import importlib
import inspect
import json
import os
import socket
import threading
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

from tests.warm.asked import LEAVES, SUPERVISOR, Asked
from tests.warm.client import OwnForks, Starter, install
from tests.warm.collecting import forget_tests, import_tests
from tests.warm.process import become, die_with_parent, fork_beside, keep_only, run, show

__all__ = ["IMPORTS", "main"]

IMPORTS = (
    "prefect.main",
    "prefect.flow_engine",
    "prefect.engine",
    "prefect.cli",
    "prefect.runner",
    "prefect.workers.process",
    "prefect.server.api.server",
    "uvicorn",
    "loadflow.cli.run",
    "loadflow.cli.agent",
    "loadflow.flows.run_script",
    "loadflow.flows.agent_run",
    "loadflow.engine.entry.supervisor",
    "loadflow.engine.entry.agent",
    "loadflow.engine.entry.native",
    "loadflow.engine.fleet.agent",
    "loadflow.engine.generator.native.plan",
    "loadflow.engine.generator.native.calls",
    "loadflow.engine.generator.notes",
    "loadflow.engine.generator.probe",
    "loadflow.engine.process.messages",
    "loadflow.engine.generator.tracing",
    # what a flow and a load import as they begin
    "anyio._backends._asyncio",
    "encodings.idna",
    "loadflow.engine.commands.ld_start_test",
    "loadflow.engine.exporters.shared.way",
    "loadflow.engine.load.start",
    "loadflow.engine.protocols.http.user",
    "loadflow.engine.protocols.python.call",
    "loadflow.engine.reports.html",
    "loadflow.engine.reports.in_short",
    "loadflow.engine.reports.name_curves",
    "numpy.ma",
    "prefect.concurrency.services",
    "prefect.task_engine",
    "prefect.utilities.visualization",
    "rich._emoji_codes",
    # what the workers of the tests import to begin, and to collect the tests
    "faker",
    "hypothesis",
    "lxml.etree",
    "playwright.sync_api",
    "pytest",
    "xdist.remote",
)
MOST_FDS_SENT = 64
LOOK = timedelta(seconds=1)
READY = 2**32  # the first answer, which no pid has


def main(number: int) -> NoReturn:
    """Ends with who asks, who first says what is to be imported. In a fork it runs what was asked for."""
    link = socket.socket(fileno=number)
    die_with_parent()
    gc.disable()  # what is imported stays: to look for garbage in it is a sixth of what importing costs
    body = bytearray(int.from_bytes(link.recv(8), "big"))
    link.recv_into(body, len(body), socket.MSG_WAITALL)
    told = json.loads(body)
    _import_all()
    if told["tests"]:
        os.environ.clear()
        os.environ.update(told["environ"])  # that of the tests, which files may look at while they are imported
        import_tests(told["tests"])
    gc.collect()
    gc.freeze()
    if threading.active_count() != 1 or len(list(Path("/proc/self/task").iterdir())) != 1 or not show(["warm"], {}):
        os._exit(1)
    link.sendall(READY.to_bytes(8, "big"))
    while True:
        asked, fds = _serve(link)
        link.detach()  # its number will be another's
        own = _begin(asked, fds)
        if own is None:
            if not asked.is_worker:
                forget_tests()
            run(asked)
        link = own


def _import_all() -> None:
    """Without a log that is set up: each fork sets up its own, if it is one that would."""
    from prefect._internal.plugins.collections import load_prefect_collections
    from prefect.logging import configuration

    set_up, configuration.setup_logging = configuration.setup_logging, dict  # type: ignore[assignment]
    for name in IMPORTS:
        importlib.import_module(name)
    load_prefect_collections()  # as each server does
    _look_less_often()
    configuration.setup_logging = set_up


def _look_less_often() -> None:
    """A server's tasks in the background are looked for four times a second, a fortieth of a core as long as it is there; Prefect has no
    setting for it. What is due at once needs no look."""
    from docket import Worker

    names = ("minimum_check_interval", "scheduling_resolution")
    begin = Worker.__init__
    parameters = list(inspect.signature(begin).parameters.values())
    defaults = [LOOK if one.name in names else one.default for one in parameters if one.default is not inspect.Parameter.empty]
    assert defaults.count(LOOK) == len(names)
    begin.__defaults__ = tuple(defaults)


def _serve(link: socket.socket) -> tuple[Asked, list[int]]:
    """Returns in forks only."""
    while True:
        head, fds, _, _ = socket.recv_fds(link, 8, MOST_FDS_SENT)
        if not head:
            os._exit(0)
        length, body = int.from_bytes(head, "big"), b""
        while len(body) < length:
            body += link.recv(length - len(body))
        pid = fork_beside()
        if pid == 0:
            return Asked(**json.loads(body)), fds
        link.sendall(pid.to_bytes(8, "big"))
        for fd in fds:
            os.close(fd)


def _begin(asked: Asked, fds: list[int]) -> socket.socket | None:
    """In the process that was asked for, None; in its own warm process the socket that it serves."""
    keep_only(fds, asked.fds)
    if asked.module == SUPERVISOR:
        install(OwnForks())
    elif asked.module not in LEAVES:
        ours, theirs = socket.socketpair()
        if os.fork() == 0:
            die_with_parent()
            os.setsid()
            nothing = os.open(os.devnull, os.O_RDWR)
            ours.detach()  # as above
            keep_only([nothing, nothing, nothing, theirs.detach()], [0, 1, 2, 3])
            show(["warm"], {})
            return socket.socket(fileno=3)
        theirs.close()
        install(Starter(ours))
    become(asked)
    return None
