"""Runs a script as a Prefect flow from the command line: quiet logs, and a server that Ctrl-C does not reach."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from loadflow.engine.forked.survivors import guard_survivors
from loadflow.engine.process.lineage import STARTER_VARIABLE, own_identity
from loadflow.engine.session.execute import Results
from loadflow.errors import RunError

if TYPE_CHECKING:
    from loadflow.engine.script.document import Script
    from loadflow.engine.session.session import Session

__all__ = ["run_as_flow"]

# The live view and the verdict say what a console log would; Prefect's own log of the run keeps everything (the `api` handler).
QUIET = {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL"}
ANSWER_S = 10.0  # for a server that is there; Prefect's own client would wait and ask again for seven minutes
CONFIGURED_WAY_OUT = "start it, unset PREFECT_API_URL for the embedded one, or use --direct"
# a server that stops to answer while the flow runs: Prefect's 60 s are asked for six times
REQUEST_S = "15"
STARTUP_S = "90"  # an embedded server with a fresh database takes 10 s on a quiet machine; Prefect's own limit is 20


def run_as_flow(script: Script, session: Session) -> Results:
    """Run the script as a flow run and return its results; raises what ended it early.

    Raises RunError when there is no Prefect API to be reached.
    """
    requests = {"PREFECT_API_REQUEST_TIMEOUT": REQUEST_S} if os.environ.get("PREFECT_API_URL") else {}
    for name, value in {**QUIET, **requests, "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": STARTUP_S}.items():
        os.environ.setdefault(name, value)
    from loadflow.flows.compile import run_compiled

    _reach_api()
    return run_compiled(script, session)


def _reach_api() -> None:
    """Start the embedded server where no API is configured, or see that the configured one answers."""
    from prefect.settings import get_current_settings

    url = get_current_settings().api.url
    troubles: list[Exception] = []
    with nullcontext() if url else _guarded():
        # a daemon: Ctrl-C ends the wait here and now, and Prefect's exit hook ends the server
        thread = threading.Thread(target=_ask_api, args=(troubles,), name="loadflow-prefect-api", daemon=True)
        thread.start()
        thread.join(ANSWER_S if url else None)
    if thread.is_alive():
        said = f"it took the question, and gave no answer within {ANSWER_S:g} s"
        raise RunError(f"the Prefect API at {url} does not answer ({said}); {CONFIGURED_WAY_OUT}")
    if not troubles:
        return
    trouble = troubles[0]
    said = f"{type(trouble).__name__}: {trouble}"
    if url:
        raise RunError(f"the Prefect API does not answer ({said}); {CONFIGURED_WAY_OUT}") from trouble
    way_out = "set PREFECT_API_URL to a running server, or use --direct"
    raise RunError(f"Prefect's embedded server did not start ({said}); {way_out}") from trouble


@contextmanager
def _guarded() -> Iterator[None]:
    """The embedded server that Prefect starts inside of the block does not outlive this process, even if that is killed with -9."""
    from loadflow.flows.embedded import EMBEDDED_SERVER

    guard_survivors(EMBEDDED_SERVER)
    before = os.environ.get(STARTER_VARIABLE)
    os.environ[STARTER_VARIABLE] = own_identity()
    try:
        yield
    finally:
        if before is None:
            del os.environ[STARTER_VARIABLE]
        else:
            os.environ[STARTER_VARIABLE] = before


def _ask_api(troubles: list[Exception]) -> None:
    """A terminal sends Ctrl-C to every process of its group: the embedded server would end with it, before the last state of
    the flow run is stored. It inherits the signal mask of the thread that starts it, and uvicorn leaves that alone: SIGINT
    waits there for ever, and SIGTERM, by which Prefect ends it, does not.
    """
    from prefect.client.orchestration import get_client

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with get_client(sync_client=True) as client:
            trouble = client.api_healthcheck()
    except Exception as error:  # noqa: BLE001  raised again on the main thread
        trouble = error
    if trouble is not None:
        troubles.append(trouble)
