"""What can be asked over HTTP: start a run and follow it, list runs, look at one, stop it, the counts for Prometheus."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from loadflow.engine.base.own_name import is_own_name
from loadflow.engine.control.access import same_token
from loadflow.engine.control.envelope import ErrorKind, Refused, error_json
from loadflow.engine.control.job import Job, JobState
from loadflow.engine.control.jobs import Jobs
from loadflow.engine.control.limits import Limits
from loadflow.engine.control.web import asked
from loadflow.engine.control.web.answers import HEADERS, json_answer, refused_answer
from loadflow.engine.control.web.following import Bells, Following
from loadflow.engine.control.web.lines import RunLines
from loadflow.engine.control.web.metrics import Metrics
from loadflow.errors import Mistake, ScriptError

__all__ = ["Routes"]

log = logging.getLogger("loadflow.control")

THERE = "POST /run, GET /runs, GET and DELETE /runs/ID, GET /healthz, GET /metrics"
RUN_KEYS = ("label", "follow", "stop_on_disconnect")


class Routes:
    """The application. `app` is what a server of ASGI calls."""

    def __init__(self, jobs: Jobs, limits: Limits, token: str | None, bells: Bells, metrics: Metrics) -> None:
        self._jobs = jobs
        self._limits = limits
        self._token = token
        self._bells = bells
        self._metrics = metrics
        self._lines: dict[str, RunLines] = {}
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="loadflow-web-reader")
        self.quitting = False
        routes = [
            Route("/healthz", self._healthz),
            Route("/run", self._run, methods=["POST"]),
            Route("/runs", self._list),
            Route("/runs/{run}", self._one),
            Route("/runs/{run}", self._stop, methods=["DELETE"]),
            Route("/metrics", self._scrape),
        ]
        self._site = Starlette(
            routes=routes, exception_handlers={HTTPException: self._no_such, Refused: self._refused, Exception: self._failed}
        )

    def close(self) -> None:
        self._reader.shutdown(wait=False, cancel_futures=True)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            if request.url.path != "/healthz":
                self._authorise(request)
        except Refused as refused:
            await self._refused(request, refused)(scope, receive, send)
            return
        await self._site(scope, receive, send)

    def _authorise(self, request: Request) -> None:
        """Without a token, a page of another site could have a browser ask here; with one, it does not know the token."""
        if self._token is None:
            if "origin" in request.headers or not is_own_name(request.headers.getlist("host")):
                raise Refused(
                    ErrorKind.BAD_REQUEST, "pages of other sites may not ask here; set a token to use other names of this machine"
                )
            return
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not same_token(self._token, given.strip()):
            log.warning("%s: %s", _who(request), "wrong token" if given else "no token")
            raise Refused(ErrorKind.UNAUTHORISED, "unauthorised" if given else "token required: send `Authorization: Bearer TOKEN`")

    # -- what was asked

    async def _healthz(self, request: Request) -> Response:
        return PlainTextResponse("shutting down" if self.quitting else "ok", 503 if self.quitting else 200, headers=HEADERS)

    async def _scrape(self, request: Request) -> Response:
        accept = request.headers.get("accept", "")
        body, media_type = await asyncio.get_running_loop().run_in_executor(self._reader, self._metrics.page, accept)
        return Response(body, headers={**HEADERS, "Content-Type": media_type})

    async def _list(self, request: Request) -> Response:
        asked.only(request, ())
        return json_answer({"runs": [job.facts() for job in self._jobs.all()]})

    async def _one(self, request: Request) -> Response:
        asked.only(request, ("follow",))
        job = self._job(request)
        if asked.flag(request, "follow", False):
            return self._following(job, self._lines[job.id], stop=False)
        return json_answer({**job.facts(), "result": job.result})

    async def _stop(self, request: Request) -> Response:
        asked.only(request, ("reason",))
        job = self._job(request)
        if job.state is not JobState.ENDED:
            job.stop(asked.text(request, "reason") or "a client asked for the end")
        return json_answer(job.facts(), HTTPStatus.ACCEPTED)

    async def _run(self, request: Request) -> Response:
        body = await asked.body_of(request, self._limits.body_bytes)
        asked.only(request, RUN_KEYS)
        follow, stop = asked.flag(request, "follow", True), asked.flag(request, "stop_on_disconnect", False)
        if stop and not follow:
            raise Refused(ErrorKind.BAD_REQUEST, "stop_on_disconnect needs follow: without it no client stays connected")
        self._refuse_busy()
        read = await asyncio.get_running_loop().run_in_executor(self._reader, asked.script_in, body)
        job, lines = await self._started(read, asked.text(request, "label") or read.label)
        log.info("%s started run %s", _who(request), job.id)
        if follow:
            return self._following(job, lines, stop=stop)
        return json_answer({"run": job.id}, HTTPStatus.ACCEPTED, _place(job))

    def _refuse_busy(self) -> None:
        if self.quitting:
            raise Refused(ErrorKind.SHUTTING_DOWN, "the server is shutting down and starts nothing more")
        running = self._jobs.running()
        if len(running) >= self._limits.runs_at_once:
            raise Refused(
                ErrorKind.BUSY, f"run {running[0].id} is still going on; wait for its end, or stop it with DELETE /runs/{running[0].id}"
            )

    async def _started(self, read: asked.Asked, label: str) -> tuple[Job, RunLines]:
        """Once the script is checked. Raises Refused with its mistakes."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[list[Mistake]] = loop.create_future()
        lines = RunLines()

        def checked(job: Job, error: ScriptError | None) -> None:
            lines.run = job.id
            mistakes = job.told(error)
            if error is None:
                self._metrics.renew()
            loop.call_soon_threadsafe(_settle, outcome, mistakes)

        def changed(job: Job) -> None:
            if job.state is JobState.ENDED:
                lines.end(job.result or {})
            self._bells.ring()

        self._refuse_busy()
        job = self._jobs.start(read.document, read.text, label, tell=lines.second, on_checked=checked, on_change=changed)
        known = {one.id for one in self._jobs.all()}
        self._lines = {**{run: one for run, one in self._lines.items() if run in known}, job.id: lines}
        mistakes = await outcome
        if mistakes:
            raise Refused(ErrorKind.SCRIPT, f"the script can't be run as written: {mistakes[0]}", mistakes)
        return job, lines

    def _following(self, job: Job, lines: RunLines, *, stop: bool) -> Response:
        def gone() -> None:
            log.info("run %s: its client went away", job.id)
            if stop:
                job.stop("the client that started it went away")

        return Following(job, lines, self._bells, {**HEADERS, **_place(job)}, gone)

    def _job(self, request: Request) -> Job:
        run = request.path_params["run"]
        try:
            return self._jobs.get(run)
        except Refused:
            raise Refused(ErrorKind.NOT_FOUND, f"there is no run {run[:40]!r}; GET /runs names those there are") from None

    # -- what can't be answered

    def _refused(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        running = {"running": [job.id for job in self._jobs.running()]} if error.kind is ErrorKind.BUSY else {}
        return refused_answer(error, **running)

    def _no_such(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        what = f"{request.method} {request.url.path[:80]} is nothing here; there are {THERE}"
        kind = ErrorKind.NOT_FOUND if error.status_code == HTTPStatus.NOT_FOUND else ErrorKind.BAD_REQUEST
        return json_answer({"error": error_json(Refused(kind, what))}, HTTPStatus(error.status_code), error.headers)

    def _failed(self, request: Request, error: Exception) -> Response:
        log.error("%s: an error of ours", _who(request), exc_info=error)
        told = {"kind": "internal", "message": "an error of ours, which the server's log has", "mistakes": []}
        return json_answer({"error": told}, HTTPStatus.INTERNAL_SERVER_ERROR)


def _settle(outcome: asyncio.Future[list[Mistake]], mistakes: list[Mistake]) -> None:
    if not outcome.done():
        outcome.set_result(mistakes)


def _place(job: Job) -> dict[str, str]:
    return {"Location": f"/runs/{job.id}", "Loadflow-Run": job.id}


def _who(request: Request) -> str:
    return f"{request.client.host}:{request.client.port}" if request.client else "a client"
