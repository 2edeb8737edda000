"""Stands between a running load and Prefect: notices a cancel, keeps a progress artifact, writes the artifacts at the end.

All that asks the API runs on a daemon thread of its own while load runs: a server that is slow or away delays that thread,
never the thread that reads the engine's messages.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import cast
from urllib.parse import urlsplit
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.logging.loggers import LoggingAdapter
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from loadflow.engine.records.judge import asked_too_much
from loadflow.engine.records.run import Run
from loadflow.engine.records.snapshot import Snapshot
from loadflow.engine.records.summary import Summary
from loadflow.engine.reports.page import line_of
from loadflow.engine.session.observer import Observer
from loadflow.errors import LoadflowError, RunError
from loadflow.flows.artifacts import artifact_key, live_link, publish, publish_live, report_link
from loadflow.flows.cancels import API_TROUBLE, Cancels
from loadflow.flows.history_page import publish_history
from loadflow.flows.progress import Progress
from loadflow.flows.run_events import run_finished, run_judged, run_started
from loadflow.flows.uploads import Storage, upload

__all__ = ["FlowObserver", "thread_in_context"]

POLL_S = 2.0
PROGRESS_S = 5.0  # each costs the server 5 ms, and readers need no more
# each update is an event of Prefect's, with six rows in its database: the longer a load runs, the rarer they are
PROGRESS_SHARE = 1 / 60  # of the time that has passed
PROGRESS_MOST_S = 60.0
# a line in the log, so that an open page of the flow run shows something new
LINE_S = 10.0
LINE_SHARE = 1 / 20
LINE_MOST_S = 30.0
REQUEST_S = 2.0
AWAY_S = 120.0  # for a server that refuses connections, as one that is restarted does; the flow run's state waits for it too
END_S = 15.0  # for the artifacts; a worker that cancels a run gives it 30 s
Logger = logging.Logger | LoggingAdapter


class FlowObserver(Observer):
    """Watches the runs of one flow run and of its subflows. `cancelled`: one of these flow runs, or one above them, was cancelled."""

    def __init__(self, logger: Logger, storage: Storage | None = None) -> None:
        self._logger = logger
        self._storage = storage
        self._flow_runs: list[UUID] = []
        self._watches: dict[str, _Watch] = {}  # by the id of the run; several of a test with populations
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
        live = live_link(run, uploaded=self._storage is not None)
        self._logger.info(
            "%s starts: %s; %srun folder %s", _which(run), run.facts.target, f"live page {live}; " if live else "", run.folder
        )
        if warning := asked_too_much(run.ceiling):
            self._logger.warning("%s %s", warning.message, warning.advice)
        self._watches[run.facts.id] = watch = _Watch(run, tuple(self._flow_runs), self._logger, self._cancel, self._storage)
        watch.start()

    def snapshot(self, run: Run, snapshot: Snapshot) -> None:
        if (watch := self._watches.get(run.facts.id)) is not None:
            watch.add(snapshot)

    def run_ended(self, run: Run, summary: Summary) -> None:
        watch = self._watches.pop(run.facts.id, None)
        if watch is not None:
            watch.end(summary)
        self._logger.info("%s ended: %s", _which(run), line_of(summary))
        self._logger.info("report: %s", report_link(run))

    def judged(self, judgement: Mapping[str, object]) -> None:
        """On this thread: no load goes on."""
        try:
            run_judged(judgement)
            publish_history(judgement)
        except API_TROUBLE as error:
            self._logger.warning("the judgement could not be shown (%s: %s); it is in the run folder", type(error).__name__, error)
        self._logger.info("judged: %s", judgement["verdict"])

    def stop_requested(self) -> str:
        return self._reason

    def _cancel(self, why: str) -> None:
        self._reason = why
        self._logger.info("%s: the load is ended", self._reason)


def _which(run: Run) -> str:
    return f"load of {run.facts.population}" if run.facts.population else "load"


class _Watch:
    """One run's thread: every wait is a wait for the end of the run, so that nothing delays it."""

    def __init__(
        self, run: Run, flow_runs: tuple[UUID, ...], logger: Logger, cancel: Callable[[str], None], storage: Storage | None
    ) -> None:
        self._run = run
        self._storage = storage
        self._cancels = Cancels(flow_runs)
        self._logger = logger
        self._cancel = cancel
        self._lock = threading.Lock()
        self._progress = Progress()
        self._lines = Progress()
        self._artifact: UUID | None = None
        self._summary: Summary | None = None
        self._uploading: threading.Thread | None = None
        self._not_uploaded = ""
        self._cancelled = False
        self._over = threading.Event()
        self._away = threading.Event()  # the API refuses connections, and the artifacts wait for it
        self._thread = thread_in_context(self._work)

    def start(self) -> None:
        self._thread.start()

    def add(self, snapshot: Snapshot) -> None:
        with self._lock:
            self._progress.add(snapshot)
            self._lines.add(snapshot)

    def end(self, summary: Summary) -> None:
        self._summary = summary
        until = time.monotonic() + END_S
        uploading = self._uploading = self._start_upload()
        self._over.set()
        while self._thread.is_alive() and time.monotonic() < until:
            self._thread.join(POLL_S)
            if self._away.is_set():  # for AWAY_S at most
                until = time.monotonic() + END_S
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
        thread = thread_in_context(lambda: self._try("the upload of the report", lambda: self._upload(storage)))
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
            if link := live_link(self._run, uploaded=self._storage is not None):
                self._try("the link to the live page", lambda: publish_live(self._run, link))
            # Prefect's usual retries would hold this thread for minutes after the load, while the server is away
            with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 1}):
                self._follow(client)
        self._wait_for_api()
        self._try("the progress artifact", self._show)
        if self._summary is not None:
            summary = self._summary
            self._try("the artifacts", lambda: publish(self._run, summary, self._upload_trouble()))
            self._try("the event", lambda: run_finished(self._run, summary))

    def _wait_for_api(self) -> None:
        """After the load, until the API takes connections again. Of a cancelled run nothing is waited for: a worker gives it 30 s."""
        until = time.monotonic() + AWAY_S
        while not self._cancelled and time.monotonic() < until and is_refused(PREFECT_API_URL.value()):
            if not self._away.is_set():
                self._away.set()
                self._logger.warning("the Prefect API refuses connections; the artifacts wait for it, at most %.0f s", AWAY_S)
            time.sleep(POLL_S)
        self._away.clear()

    def _follow(self, client: SyncPrefectClient) -> None:
        wait_s = shown_at = 0.0
        began = said_at = time.monotonic()
        while not self._over.wait(wait_s):
            wait_s = POLL_S
            if not self._cancelled and (why := self._cancels.look(client)):
                self._cancelled = True
                self._cancel(why)
            now = time.monotonic()
            if now - shown_at >= min(PROGRESS_MOST_S, max(PROGRESS_S, PROGRESS_SHARE * (now - began))):
                shown_at = now
                self._try("the progress artifact", self._show)
            if now - said_at >= min(LINE_MOST_S, max(LINE_S, LINE_SHARE * (now - began))):
                said_at = now
                with self._lock:
                    _, text = self._lines.take()
                self._logger.info("%s%s", f"{self._run.facts.population}: " if self._run.facts.population else "", text)

    def _show(self) -> None:
        with self._lock:
            percent, text = self._progress.take()
        if self._artifact is None:
            made = create_progress_artifact(percent, key=artifact_key(self._run, "progress"), description=text)
            self._artifact = cast(UUID, made)  # typed for both of its forms, sync and async
        else:
            update_progress_artifact(self._artifact, percent, description=text)

    def _try(self, what: str, write: Callable[[], object]) -> None:
        try:
            write()
        except LoadflowError as error:
            self._logger.warning("%s failed (%s); %s has all", what, error, self._run.folder)
        except API_TROUBLE as error:
            self._logger.warning("%s could not be written (%s: %s); %s has all", what, type(error).__name__, error, self._run.folder)


def is_refused(url: str | None) -> bool:
    """Whether no server listens at the host and port of `url`; False where that can't be known (a proxy, no address, no answer)."""
    try:
        parts = urlsplit(url or "")
        if parts.hostname:
            socket.create_connection((parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)), timeout=REQUEST_S).close()
    except ConnectionRefusedError:
        return True
    except (OSError, ValueError):  # the port is not a number
        return False
    return False


def thread_in_context(work: Callable[[], None]) -> threading.Thread:
    """It writes in the name of the task run, and to the same API: both are context variables."""
    context = contextvars.copy_context()
    return threading.Thread(target=context.run, args=(work,), name="loadflow-prefect", daemon=True)
