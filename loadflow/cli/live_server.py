"""The page of `loadflow run --live`: the site of reports on a free port of the loopback, as long as the command runs."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from loadflow.engine.machine.turns import after_the_load
from loadflow.engine.session.observer import Observer

if TYPE_CHECKING:
    from loadflow.cli.live_pages import LivePages
    from loadflow.cli.stopper import Stopper
    from loadflow.engine.records.run import Run
    from loadflow.engine.records.summary import Summary

__all__ = ["live_page"]

LAST_LOOK_S = 3.0  # for those who look at a load that has ended to take its report along
POLL_S = 0.05


class _LivePage(Observer):
    """Prints the address of each load's page, and ends the load, or changes its rate, when the page asks for it."""

    def __init__(self, base: str, stopper: Stopper, console: Console) -> None:
        self._base = base
        self._stopper = stopper
        self._console = console

    def run_started(self, run: Run) -> None:
        self._stopper.take_factor()  # whatever was asked of a load before it
        self._stopper.runs.add(run.folder.name)
        address = f"{self._base}/{run.folder.name}/report.html#stop={self._stopper.token}"
        self._console.print(Text.assemble(("live: ", "dim"), address), soft_wrap=True)

    def run_ended(self, run: Run, summary: Summary) -> None:
        self._stopper.runs.discard(run.folder.name)

    def stop_requested(self) -> str:
        return self._stopper.reason

    def rate_factor(self) -> float:
        return self._stopper.take_factor()


@contextlib.contextmanager
def live_page(runs_dir: Path, console: Console) -> Iterator[Observer]:
    """Serve the runs below `runs_dir` inside of the block, on a thread of its own; what it gives is to watch the loads."""
    import uvicorn

    from loadflow.cli.report_site import report_site
    from loadflow.cli.stopper import Stopper

    stopper = Stopper()
    site = report_site(runs_dir, stopper=stopper)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(site, log_level="error", access_log=False, lifespan="off", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)

        def serve() -> None:
            after_the_load()
            server.run([listener])

        thread = threading.Thread(target=serve, name="loadflow-live", daemon=True)
        thread.start()
        try:
            yield _LivePage(f"http://127.0.0.1:{listener.getsockname()[1]}", stopper, console)
        finally:
            _let_them_look(site.state.live)
            server.should_exit = True
            thread.join(LAST_LOOK_S)


def _let_them_look(live: LivePages) -> None:
    """Does not wait if no page is open."""
    until = time.monotonic() + LAST_LOOK_S
    while (live.viewers or live.waiting) and time.monotonic() < until:
        time.sleep(POLL_S)
