"""An agent as a flow run: a work pool starts it for one run, whose flow run is above it. Its page shows its share and its hits."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar
from uuid import UUID

from prefect import flow, get_run_logger
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import TerminationSignal
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed

from loadflow.engine.base.counted import counted
from loadflow.engine.base.figures import clock_text, rate_text
from loadflow.engine.fleet.agent import Agent
from loadflow.engine.fleet.lease import Served, Standing
from loadflow.engine.fleet.serving import pool_access
from loadflow.errors import LoadflowError
from loadflow.flows.blocks import prefect_secret
from loadflow.flows.cancels import API_TROUBLE, Cancels
from loadflow.flows.observer import thread_in_context
from loadflow.interrupting import ENDING, stop_signals
from loadflow.tasks.state import AnyState

__all__ = ["AGENT_FLOW", "agent_run", "end_of", "told"]

T = TypeVar("T")

AGENT_FLOW = "loadflow-agent"
CONNECT_S = 60.0  # for the NATS server, which is there before its agents are
POLL_S = 2.0
SHOW_S = 5.0
LINE_S = 15.0
ORPHAN_S = 60.0  # for what takes the place of a run that has lost its process
END_S = 10.0


@flow(name=AGENT_FLOW, retries=0, persist_result=False)
def agent_run(run: str, nats_url: str, number: int = 1, own_server: bool = False, block: str = "", slots: int = 1) -> object:
    """Make shares of the load of one run. A run whose script says `"workers": {"pool": NAME}` starts as many of these as it needs.

    Args:
        run: The id of the run, as its run folder has it.
        nats_url: The NATS server of the run, without a password.
        number: Which of the run's agents this is.
        own_server: Whether the run has started the server: then the token of both is asked for.
        block: The name of the Secret block from which it learns how to get in. Empty: the environment says it.
        slots: How many shares it makes at a time.
    """
    logger = get_run_logger()
    own = str(flow_run.id or "")
    watch: _Watch | None = None
    state: AnyState | None = None
    with _Stop(logger.warning) as stop:
        try:
            access = pool_access(nats_url, own=own_server, secret=prefect_secret(block) if block else "")
            agent = Agent(
                access,
                slots=slots,
                once=False,
                say=logger.info,
                stop=lambda: stop.why or (watch.why if watch is not None else ""),
                run=run,
                flow_run=own,
                connect_s=CONNECT_S,
            )
            watch = _Watch(agent, UUID(own), number) if own else None
            if watch is not None:
                watch.start()
            served = stop.heard_during(lambda: asyncio.run(agent.serve()))
            state = end_of(served, stop.why or (watch.last_look() if watch is not None else ""))
        except (LoadflowError, LookupError) as error:
            state = Failed(name="Error", message=f"the agent can't serve the run {run}: {error}")
        finally:
            if watch is not None:
                watch.end(state.message or "" if state is not None else "")
    return state


def told(standing: Standing) -> str:
    """One share in a few words, as in "share 3 of 8 · running · 0:12 of 1:00 · 4,711 hits · 392/s"."""
    parts = [f"share {standing.number + 1} of {standing.of}", standing.phase]
    if standing.ran_s:
        parts.append(clock_text(standing.ran_s) + (f" of {clock_text(standing.planned_s)}" if standing.planned_s else ""))
    parts.append(counted(standing.hits, "hit"))
    if standing.ran_s:
        parts.append(f"{rate_text(standing.hits / standing.ran_s)}/s")
    return " · ".join(parts)


def end_of(served: list[Served], stopped: str) -> AnyState:
    """Completed: all that it recorded has arrived. Failed: not all has, or its engine was lost. Cancelled: it was `stopped` before."""
    hits = counted(sum(one.hits for one in served), "hit")
    shares = ", ".join(str(one.number + 1) for one in served)
    line = f"{counted(len(served), 'share')} ({shares}), {hits}, all received" if served else "no share was left for it"
    if problems := [f"share {one.number + 1}: {one.problem}" for one in served if one.problem]:
        return Failed(name="Undelivered", message="; ".join(problems))
    if stopped:
        return Cancelled(message=f"{stopped}; {line}")
    if broken := [f"share {one.number + 1}: {one.ended}" for one in served if one.ended]:
        return Failed(message=f"{'; '.join(broken)}; {line}")
    return Completed(message=line)


class _Stop:
    """Stop signals end the load and deliver its hits.

    TERM is left to Prefect, whose handler raises TerminationSignal. The process that runs a flow in a container asks first whether that
    handler is there, and kills this process where it is not. So the work is done on a thread, and this one waits for either.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._others = stop_signals(say, but=(signal.SIGTERM,))
        self._terminated = ""

    def __enter__(self) -> _Stop:
        self._signalled = self._others.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._others.__exit__(None, None, None)

    @property
    def why(self) -> str:
        """The signal that asked for the end; "" while none has."""
        return self._terminated or self._signalled()

    def heard_during(self, work: Callable[[], T]) -> T:
        """What `work` gives or raises. A second TERM is raised here, which ends the process."""
        given: Future[T] = Future()

        def run() -> None:
            try:
                given.set_result(work())
            except BaseException as error:  # noqa: BLE001  it is raised where the result is asked for
                given.set_exception(error)

        thread_in_context(run).start()
        try:
            return given.result()
        except TerminationSignal as asked:
            self._terminated = signal.Signals(asked.signal).name
            self._say(f"{self._terminated}: {ENDING}")
        return given.result()


class _Watch:
    """Looks at the flow run and at those above it, and shows how the shares stand, on a thread that may wait for the API."""

    def __init__(self, agent: Agent, own: UUID, number: int) -> None:
        self.why = ""
        self.cancelled = ""
        self._agent = agent
        self._own = own
        self._key = f"{AGENT_FLOW}-{number}"
        self._logger = get_run_logger()
        self._cancels = Cancels([own])
        self._artifact: UUID | None = None
        self._orphan_since_s: float | None = None
        self._over = threading.Event()
        self._thread = thread_in_context(self._work)

    def start(self) -> None:
        self._thread.start()

    def last_look(self) -> str:
        """Why it was cancelled; "" when it was not."""
        self._over.set()
        self._thread.join(END_S)
        return self.cancelled

    def end(self, text: str) -> None:
        """`text`: what the artifact says from now on."""
        self.last_look()
        if not self._thread.is_alive():
            self._show(text)

    def _work(self) -> None:
        shown_s = said_s = time.monotonic()
        with get_client(httpx_settings={"timeout": POLL_S}, sync_client=True) as client:
            while not self._over.wait(POLL_S):
                self._look(client)
                now_s = time.monotonic()
                if now_s - shown_s >= SHOW_S:
                    shown_s = now_s
                    self._show()
                if now_s - said_s >= LINE_S and (standings := self._agent.standings()):
                    said_s = now_s
                    self._logger.info("%s", "; ".join(map(told, standings)))
            self._look(client)

    def _look(self, client: SyncPrefectClient) -> None:
        self.cancelled = self.cancelled or self._cancels.look(client)
        self.why = self.why or self.cancelled
        if not self._cancels.is_above_over(client, self._own):
            self._orphan_since_s = None
        elif self._orphan_since_s is None:
            self._orphan_since_s = time.monotonic()
        elif time.monotonic() - self._orphan_since_s > ORPHAN_S:
            self.why = self.why or "the flow run above this one is over"

    def _show(self, end: str = "") -> None:
        shown = self._agent.standings()
        text = end or "; ".join(map(told, shown)) or "waiting for a share"
        percent = 100.0 if end else 100 * max((min(1.0, one.ran_s / one.planned_s) for one in shown if one.planned_s), default=0.0)
        try:
            if self._artifact is None:
                made: Any = create_progress_artifact(percent, key=self._key, description=text)
                self._artifact = made
            else:
                update_progress_artifact(self._artifact, percent, description=text)
        except API_TROUBLE as error:
            self._logger.debug("the progress artifact could not be written: %s", error)
