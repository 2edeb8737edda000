"""The answer that goes on while a run does: its lines, as they come, to one client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from loadflow.engine.control.job import Job
from loadflow.engine.control.web.lines import RunLines

__all__ = ["Bells", "Following"]

QUIET_S = 5.0  # without a line, after which one of zeros comes
AT_ONCE = 50  # lines of one write


class Bells:
    """Wakes those who wait for news of any run; `ring` is for any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: set[asyncio.Event] = set()

    def ring(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ring)

    def _ring(self) -> None:
        for one in self._waiting:
            one.set()

    def bell(self) -> asyncio.Event:
        """One that rings from now on, until it is given back."""
        event = asyncio.Event()
        self._waiting.add(event)
        return event

    def back(self, event: asyncio.Event) -> None:
        self._waiting.discard(event)


class Following(Response):
    """`gone` is called when the client went away before the end of the run."""

    media_type = "application/x-ndjson"

    def __init__(self, job: Job, lines: RunLines, bells: Bells, headers: Mapping[str, str], gone: Callable[[], None]) -> None:
        super().__init__(status_code=200, headers=headers, media_type=self.media_type)
        del self.headers["content-length"]
        self._job = job
        self._lines = lines
        self._bells = bells
        self._gone = gone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        bell = self._bells.bell()
        watch = asyncio.create_task(_until_gone(receive, bell))
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async for part in self._parts(bell):
                if watch.done():
                    break
                if part:
                    await send({"type": "http.response.body", "body": part, "more_body": True})
            if watch.done():
                if not self._lines.last:
                    self._gone()
            else:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._bells.back(bell)
            watch.cancel()

    async def _parts(self, bell: asyncio.Event) -> AsyncIterator[bytes]:
        """Lines, each whole; b"" where there may be no more to send."""
        at = 0
        while True:
            bell.clear()
            ended = bool(self._lines.last)
            at, found = self._job.snapshots(at, AT_ONCE)
            if found:
                yield b"".join(line + b"\n" for line in found)
                continue
            if ended:
                yield self._lines.last + b"\n"
                return
            try:
                async with asyncio.timeout(QUIET_S):
                    await bell.wait()
                yield b""
            except TimeoutError:
                yield self._lines.waiting() + b"\n"


async def _until_gone(receive: Receive, bell: asyncio.Event) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    bell.set()
