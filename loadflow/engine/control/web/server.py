"""The control plane over HTTP: takes scripts and LoadPilot's plans, runs one at a time, and reports how it goes in lines of JSON.

One thread serves all connections, each script has a thread more. Tokens, TLS, limits, and what scripts may reach are those of the
control plane over TCP.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from dataclasses import replace
from typing import Self, Unpack

from loadflow.engine.control.hosted_server import HostedServer, ServerSettings
from loadflow.engine.control.limits import Limits
from loadflow.engine.control.listening import listen
from loadflow.engine.control.web.door import Door
from loadflow.engine.control.web.following import Bells
from loadflow.engine.control.web.metrics import Metrics
from loadflow.engine.control.web.routes import Routes
from loadflow.engine.machine.memory import few_arenas

__all__ = ["HTTP_LIMITS", "WebServer"]

log = logging.getLogger("loadflow.control")

POLL_S = 0.05
HTTP_LIMITS = replace(Limits(), runs_at_once=1)  # as LoadPilot's coordinator has it


class WebServer(HostedServer):
    """`port` 0 takes a free one; `host` and `port` then say where it listens. For the settings see `ServerSettings`.

    Raises CommandError for settings that don't go together, RunError when it can't listen.

    >>> with WebServer(port=0, token="s3cret") as server:
    ...     server.host
    'localhost'
    """

    def __init__(self, host: str = "localhost", port: int = 8080, **settings: Unpack[ServerSettings]) -> None:
        self._metrics = Metrics()
        super().__init__(host, port, settings, HTTP_LIMITS, [self._metrics])
        self._loop = asyncio.new_event_loop()
        self._asked = asyncio.Event()
        self._wait_for_runs = False
        self._thread: threading.Thread | None = None
        self._door: Door | None = None

    @property
    def clients(self) -> int:
        """How many are connected now."""
        return self._door.clients if self._door else 0

    def start(self) -> Self:
        few_arenas()
        listeners, self.port = listen(self.addresses())
        self._thread = threading.Thread(target=self._serve, args=(listeners,), name="loadflow-web", daemon=True)
        self._thread.start()
        log.info("listening on %s:%s", self.host, self.port)
        return self

    def quit(self, *, wait: bool = False) -> None:
        self._wait_for_runs = wait
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._asked.set)

    def close(self) -> None:
        if self._thread is None:
            self._loop.close()
            return
        self.quit()
        self._thread.join(self._limits.quit_s + self._limits.write_s + 5)

    def _serve(self, listeners: list[socket.socket]) -> None:
        try:
            self._loop.run_until_complete(self._serve_until_asked(listeners))
        except Exception:  # the outermost loop of this thread: a server that is gone must say so
            log.exception("the control server failed")
            raise
        finally:
            for listener in listeners:
                listener.close()
            self._loop.close()
            self._done.set()
            log.info("stopped")

    async def _serve_until_asked(self, listeners: list[socket.socket]) -> None:
        routes = Routes(self._jobs, self._limits, self._token, Bells(self._loop), self._metrics)
        self._door = door = Door(routes.app, self._limits, self._tls)
        door.open(listeners)
        try:
            await self._asked.wait()
            log.info("shutting down")
            door.shut()
            for listener in listeners:
                listener.close()
            routes.quitting = True
            await self._runs_ended()
            await door.clear(self._limits.write_s)
        finally:
            routes.close()

    async def _runs_ended(self) -> None:
        """Until all runs have ended, or for as long as they get; a second `quit` that does not wait overrules one that does."""
        until_s: float | None = None
        while running := self._jobs.running():
            if not self._wait_for_runs and until_s is None:
                self._jobs.stop_all("the server was asked to shut down")
                until_s = time.monotonic() + self._limits.quit_s
            if until_s is not None and time.monotonic() >= until_s:
                for job in running:
                    log.warning("run %s has not ended in time and is left behind", job.id)
                return
            await asyncio.sleep(POLL_S)
