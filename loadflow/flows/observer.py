"""Stands between a running load and Prefect: notices a cancel, keeps a progress artifact, writes the artifacts at the end.

All that asks the API runs on a daemon thread of its own while load runs: a server that is slow or away delays that thread,
never the thread that reads the engine's messages.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, cast
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.logging.loggers import LoggingAdapter

from loadflow.engine.records.judge import asked_too_much
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.records.summary import Summary
from loadflow.engine.session import Observer
from loadflow.errors import LoadflowError, RunError
from loadflow.flows.artifacts import artifact_key, publish
from loadflow.flows.progress import Progress
from loadflow.flows.run_events import run_finished, run_started
from loadflow.flows.uploads import Storage, upload

__all__ = ["FlowObserver"]

POLL_S = 2.0
PROGRESS_S = 5.0  # 5 ms of server work each, and nobody reads faster
# each update is an event of Prefect's, with six rows in its database: the longer a load runs, the rarer they are
PROGRESS_SHARE = 1 / 60  # of the time that has passed
PROGRESS_MOST_S = 60.0
REQUEST_S = 2.0
END_S = 15.0  # for the artifacts; a worker that cancels a run gives it 30 s
API_TROUBLE = (httpx.HTTPError, PrefectHTTPStatusError, ObjectNotFound, RuntimeError, OSError, ValueError)
Logger = logging.Logger | LoggingAdapter
CANCELS = (StateType.CANCELLING, StateType.CANCELLED)


class FlowObserver(Observer):
    """Watches the runs of one flow run and of its subflows. `cancelled`: one of these flow runs was cancelled."""

    def __init__(self, logger: Logger, storage: Storage | None = None) -> None:
        self._logger = logger
        self._storage = storage
        self._flow_runs: list[UUID] = []
        self._watch: _Watch | None = None
        self._reason = ""

    @property
    def cancelled(self) -> bool:
        return self._reason != ""

    @contextlib.contextmanager
    def also(self, flow_run_id: UUID) -> Iterator[None]:
        """Inside the block, a cancel of this flow run ends the load too."""
        self._flow_runs.append(flow_run_id)
        try:
            yield
        finally:
            self._flow_runs.remove(flow_run_id)

    def run_started(self, run: Run) -> None:
        self._logger.info("load starts: %s; run folder %s", run.facts.target, run.folder)
        if warning := asked_too_much(run.ceiling):
            self._logger.warning("%s %s", warning.message, warning.advice)
        self._watch = _Watch(run, tuple(self._flow_runs), self._logger, self._cancel, self._storage)
        self._watch.start()

    def snapshot(self, run: Run, snapshot: Snapshot) -> None:
        if self._watch is not None:
            self._watch.add(snapshot)

    def run_ended(self, run: Run, summary: Summary) -> None:
        self._logger.info("load ended: %s; %s requests; report %s", summary.verdict, summary.overall.count, run.folder / "report.html")
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.end(summary)

    def stop_requested(self) -> str:
        return self._reason

    def _cancel(self, state_name: str) -> None:
        self._reason = f"the flow run is {state_name.lower()}"
        self._logger.info("%s: the load is ended", self._reason)


class _Watch:
    """One run's thread: every wait is a wait for the end of the run, so that nothing delays it."""

    def __init__(
        self, run: Run, flow_runs: tuple[UUID, ...], logger: Logger, cancel: Callable[[str], None], storage: Storage | None
    ) -> None:
        self._run = run
        self._storage = storage
        self._flow_runs = flow_runs
        self._logger = logger
        self._cancel = cancel
        self._lock = threading.Lock()
        self._progress = Progress()
        self._artifact: UUID | None = None
        self._summary: Summary | None = None
        self._uploading: threading.Thread | None = None
        self._not_uploaded = ""
        self._over = threading.Event()
        self._thread = _thread(self._work)

    def start(self) -> None:
        self._thread.start()

    def add(self, snapshot: Snapshot) -> None:
        with self._lock:
            self._progress.add(snapshot)

    def end(self, summary: Summary) -> None:
        self._summary = summary
        until = time.monotonic() + END_S
        uploading = self._uploading = self._start_upload()
        self._over.set()
        self._thread.join(END_S)
        if self._thread.is_alive():
            self._logger.warning("the artifacts took over %.0f s: the Prefect API is slow or away; all is in %s", END_S, self._run.folder)
        if uploading is not None:
            uploading.join(max(0.0, until - time.monotonic()))
            if uploading.is_alive():
                self._logger.warning("the upload took over %.0f s: the storage is slow or away; all is in %s", END_S, self._run.folder)

    def _start_upload(self) -> threading.Thread | None:
        """On a thread of its own: a storage that is slow or away must not cost the artifacts."""
        storage = self._storage
        if storage is None:
            return None
        thread = _thread(lambda: self._try("the upload of the report", lambda: self._upload(storage)))
        thread.start()
        return thread

    def _upload(self, storage: Storage) -> None:
        try:
            upload(storage, self._run)
        except RunError as error:
            self._not_uploaded = str(error)
            raise
        self._logger.info("the report is in %s, as %s/report.html", storage.name, self._run.facts.id)

    def _upload_trouble(self) -> str:
        """Why the report is not in its storage; "" when it is, or has none. The artifacts wait for it, at most half of their time."""
        if self._uploading is None or self._storage is None:
            return ""
        self._uploading.join(END_S / 2)
        return f"{self._storage.name}: no answer yet" if self._uploading.is_alive() else self._not_uploaded

    def _work(self) -> None:
        self._try("the event", lambda: run_started(self._run))
        with get_client(httpx_settings={"timeout": REQUEST_S}, sync_client=True) as client:
            self._follow(client)
        self._try("the progress artifact", self._show)
        if self._summary is not None:
            summary = self._summary
            self._try("the artifacts", lambda: publish(self._run, summary, self._upload_trouble()))
            self._try("the event", lambda: run_finished(self._run, summary))

    def _follow(self, client: SyncPrefectClient) -> None:
        wait_s = shown_at = 0.0
        began = time.monotonic()
        cancelled = False
        while not self._over.wait(wait_s):
            wait_s = POLL_S
            if not cancelled and (state := self._cancelling(client)):
                cancelled = True
                self._cancel(state)
            now = time.monotonic()
            if now - shown_at >= min(PROGRESS_MOST_S, max(PROGRESS_S, PROGRESS_SHARE * (now - began))):
                shown_at = now
                self._try("the progress artifact", self._show)

    def _cancelling(self, client: SyncPrefectClient) -> str:
        """The name of the state by which one of the flow runs is cancelled; "" when none is, or the API does not say."""
        try:
            for flow_run in self._flow_runs:
                state = client.read_flow_run(flow_run).state
                if state is not None and state.type in CANCELS:
                    return state.name or str(state.type)
        except API_TROUBLE as error:
            self._logger.debug("the state of the flow run could not be read: %s", error)
        return ""

    def _show(self) -> None:
        with self._lock:
            percent, text = self._progress.take()
        if self._artifact is None:
            made = create_progress_artifact(percent, key=artifact_key(self._run, "progress"), description=text)
            self._artifact = cast(UUID, made)  # typed for both of its forms, sync and async
        else:
            update_progress_artifact(self._artifact, percent, description=text)

    def _try(self, what: str, write: Callable[[], Any]) -> None:
        try:
            write()
        except LoadflowError as error:
            self._logger.warning("%s failed (%s); %s has all", what, error, self._run.folder)
        except API_TROUBLE as error:
            self._logger.warning("%s could not be written (%s: %s); %s has all", what, type(error).__name__, error, self._run.folder)


def _thread(work: Callable[[], None]) -> threading.Thread:
    """It writes in the name of the task run, and to the same API: both are context variables."""
    context = contextvars.copy_context()
    return threading.Thread(target=context.run, args=(work,), name="loadflow-prefect", daemon=True)
