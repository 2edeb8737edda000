"""Runs that are going on, for the site of reports: their pages, and a stream of events for each (Server-Sent Events, HTML standard 9.2)."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from loadflow.cli.stopper import Stopper
from loadflow.engine.records.going_on import is_held
from loadflow.engine.records.rate_changes import why_rate_stays
from loadflow.engine.records.run import Run
from loadflow.engine.reports.html import prepare
from loadflow.engine.reports.live_feed import Feed
from loadflow.errors import RunError

__all__ = ["REPORT", "LivePages"]

REPORT = "report.html"
HTML = "text/html"
POLL_S = 0.8
PAGE_S = 9.0  # how old a page may be: many who look share one
HEAD_FIRST_S = 0.03  # a browser that gets head and charts in one piece paints neither until it has laid out both
SIGN_OF_LIFE_S = 15.0  # proxies close what says nothing
EVENTS_AT_ONCE = 500
MOST_VIEWERS = 500
MOST_TIMES = 10.0  # by which a rate may be changed at one go
LONGEST_FACTOR = 32  # characters
NO_STORE = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
UNREACHABLE = "This server can't stop the load. Press Ctrl-C where it was started, or Cancel on its flow run."
BY_ADDRESS = "To stop the load from this page, open the address that `loadflow run --live` printed."


class LivePages:
    """Of the runs below `runs_dir`. `stopper`: the process that serves makes the load, too. `viewers`: how many streams are open."""

    def __init__(self, runs_dir: Path, headers: dict[str, str], stopper: Stopper | None) -> None:
        self.viewers = 0
        self.waiting = 0  # pages that know of the end and have not asked for the report yet
        self._runs_dir = runs_dir
        self._headers = {**headers, **NO_STORE}
        self._stopper = stopper
        self._feeds: dict[str, _Shared] = {}
        threading.Thread(target=prepare, name="loadflow-live-prepare", daemon=True).start()

    async def page(self, run: str) -> Response | None:
        """None if no such run is going on. The head is sent at once, the rest when all that is on disk was read."""
        if not await run_in_threadpool(is_held, self._runs_dir / run):
            return None
        return StreamingResponse(self._shared(run).page(), media_type=HTML, headers=self._headers)

    def taken(self, name: str) -> None:
        """A file of a finished run was sent to a client."""
        if name == REPORT:
            self.waiting = max(0, self.waiting - 1)

    async def events(self, request: Request) -> Response:
        """Every second from the start; `Last-Event-ID`, or `after` in the query, is the last that the client has."""
        if self.viewers >= MOST_VIEWERS:
            raise HTTPException(503, f"{MOST_VIEWERS} readers follow runs already; try again later")
        last = request.headers.get("last-event-id") or request.query_params.get("after") or "-1"
        if not last.lstrip("-").isascii() or not last.lstrip("-").isdigit() or len(last) > 9:
            raise HTTPException(400, "Last-Event-ID or `after` must be the number of a second")
        stream = self._stream(self._shared(request.path_params["run"]), max(0, int(last) + 1))
        return StreamingResponse(stream, media_type="text/event-stream", headers=self._headers)

    async def stop(self, request: Request) -> Response:
        if self._stopper is None or not self._stopper.knows(request.headers.get("authorization", "")):
            raise HTTPException(403, "only the address that `loadflow run --live` printed can stop the load")
        if not self._stopper.stop(request.path_params["run"]):
            raise HTTPException(409, "this load is not running")
        return PlainTextResponse("ending the load\n", 202, headers=self._headers)

    async def rate(self, request: Request) -> Response:
        """The body is the factor, as text."""
        if self._stopper is None or not self._stopper.knows(request.headers.get("authorization", "")):
            raise HTTPException(403, "only the address that `loadflow run --live` printed can change the rate")
        factor = await _factor_in(request)
        shared = self._shared(request.path_params["run"])
        if why_not := why_rate_stays(shared.feed.run):
            raise HTTPException(409, why_not)
        if not self._stopper.change(shared.run, factor):
            raise HTTPException(409, "this load is not running")
        return PlainTextResponse(f"within two seconds the rate becomes × {factor:.3g}\n", 202, headers=self._headers)

    async def _stream(self, shared: _Shared, sent: int) -> AsyncIterator[bytes]:
        self.viewers += 1
        try:
            yield b"retry: 1000\n\n"
            with shared.watched():
                while True:
                    over, news, events = shared.over, shared.news, shared.feed.events
                    while sent < len(events):
                        part = events[sent : sent + EVENTS_AT_ONCE]
                        sent += len(part)  # counted before it is sent: meanwhile more may come
                        yield b"".join(part)
                    if over:
                        break
                    if not await _within(news, SIGN_OF_LIFE_S):
                        yield b": still going on\n\n"
            self._feeds.pop(shared.run, None)
            has_report = (shared.feed.run.folder / REPORT).exists()
            self.waiting += has_report
            yield f'event: end\ndata: {{"report":{str(has_report).lower()}}}\n\n'.encode()
        finally:
            self.viewers -= 1

    def _shared(self, run: str) -> _Shared:
        if run not in self._feeds:
            try:
                if run.startswith("."):
                    raise RunError("no run")
                feed = Feed(Run.open(self._runs_dir / run))
            except RunError:
                raise HTTPException(404, "there is no such run") from None
            opened = _Shared(run, feed, can_stop=self._stopper is not None)
            # other runs may have ended while no page was open
            self._feeds = {name: shared for name, shared in self._feeds.items() if shared.feed.run.held} | {run: opened}
        return self._feeds[run]


class _Shared:
    """One feed for all who look at it: read, and made into a page, once for all of them.

    `over`: the run is, and all of it was read. `news` is set, and another takes its place, whenever there are new seconds, or it is over.
    """

    def __init__(self, run: str, feed: Feed, *, can_stop: bool) -> None:
        self.run = run
        self.feed = feed
        self.over = False
        self.news = asyncio.Event()
        self.head = self.rest = b""
        why_no_stop = BY_ADDRESS if can_stop else UNREACHABLE
        self._make_head = partial(feed.head, can_stop=can_stop, why_no_stop=why_no_stop)
        self._make_rest = partial(feed.rest, can_stop=can_stop, why_no_stop=why_no_stop)
        self._made_at = -1e9
        self._making = asyncio.Lock()
        self._watching = 0
        self._follower: asyncio.Task[None] | None = None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """New rows are read while at least one reader is inside."""
        self._watching += 1
        if self._follower is None:
            self._follower = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            self._watching -= 1

    @property
    def is_fresh(self) -> bool:
        return time.monotonic() - self._made_at < PAGE_S

    async def page(self) -> AsyncIterator[bytes]:
        if not self.head:
            self.head = (await run_in_threadpool(self._make_head)).encode()
        yield self.head
        async with self._making:
            if self.is_fresh:
                await asyncio.sleep(HEAD_FIRST_S)
            else:
                await run_in_threadpool(self.feed.refresh)
                self.rest = (await run_in_threadpool(self._make_rest)).encode()
                self._made_at = time.monotonic()
        yield self.rest

    async def _follow(self) -> None:
        seen = -1
        while self._watching and not self.over:
            self.over = await run_in_threadpool(self.feed.refresh)
            if self.over or len(self.feed.events) != seen:
                seen = len(self.feed.events)
                self.news.set()
                self.news = asyncio.Event()
            if not self.over:
                await asyncio.sleep(POLL_S)
        self._follower = None


async def _factor_in(request: Request) -> float:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LONGEST_FACTOR:
            break
    try:
        factor = float(body.decode("ascii"))
    except ValueError:
        factor = math.nan
    if len(body) > LONGEST_FACTOR or not 1 / MOST_TIMES <= factor <= MOST_TIMES:
        raise HTTPException(400, f"the body must be the factor, a number from {1 / MOST_TIMES:g} to {MOST_TIMES:g}")
    return factor


async def _within(news: asyncio.Event, limit_s: float) -> bool:
    """Whether it was set in time."""
    try:
        async with asyncio.timeout(limit_s):
            await news.wait()
    except TimeoutError:
        return False
    return True
