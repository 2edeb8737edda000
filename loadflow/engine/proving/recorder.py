"""A server on loopback, in a thread of its own, that keeps every request as it arrived and answers as it is told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

__all__ = ["Given", "Recorder", "Request"]

LOOPBACK = "127.0.0.1"
MOST_HEAD = 2**20  # bytes
WITHOUT_BODY = (204, 304)  # RFC 9110 section 6.4.1


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived; `target` has the query, `body` is without the framing of a chunked one."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        """The first value of a header; "" if it was not sent."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


@dataclass(frozen=True, slots=True)
class Given:
    """An answer. `headers` are those beside the length."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def bytes(self, method: str) -> bytes:
        lines = [f"HTTP/1.1 {self.status} Proof", *(f"{name}: {value}" for name, value in self.headers)]
        bare = self.status in WITHOUT_BODY
        if not bare:
            lines.append(f"Content-Length: {len(self.body)}")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        return head if bare or method == "HEAD" else head + self.body


class Recorder:
    """A context manager. `url` is where it listens; `requests` what arrived since `answer_with`, in the order of arrival."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[Request] = []
        self._answer: Callable[[Request], Given] = lambda request: Given(404, (), b"")
        self._loop = asyncio.new_event_loop()
        self._listening = threading.Event()
        self._trouble: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="loadflow-proof", daemon=True)

    def __enter__(self) -> Recorder:
        self._thread.start()
        self._listening.wait()
        if self._trouble is not None:
            self._thread.join()
            raise self._trouble
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def answer_with(self, answer: Callable[[Request], Given]) -> None:
        """Forget what arrived; from now on `answer` says what each request gets."""
        self.requests = []
        self._answer = answer

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except OSError as error:
            self._trouble = error
        finally:
            self._listening.set()
            self._loop.close()

    async def _serve(self) -> None:
        self._over = asyncio.Event()
        self._open: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._connected, LOOPBACK, 0, limit=MOST_HEAD)
        self.url = f"http://{LOOPBACK}:{server.sockets[0].getsockname()[1]}"
        self._listening.set()
        await self._over.wait()
        server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            while (request := await _read(reader)) is not None:
                self.requests.append(request)
                writer.write(self._answer(request).bytes(request.method))
                await writer.drain()
                if request.header("connection").lower() == "close":
                    break
        except (OSError, asyncio.CancelledError):  # the client is gone, or the proof is over
            pass
        finally:
            self._open.discard(task)
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Request | None:
    """The next request; None where the connection ends, also within one."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        method, target, _ = first.split(" ", 2)
        headers = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
        request = Request(method, target, headers, b"")
        if request.header("transfer-encoding").lower() == "chunked":
            body = await _chunks(reader)
        else:
            body = await reader.readexactly(int(request.header("content-length") or 0))
        return Request(method, target, headers, body)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
        return None


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    """RFC 9112 section 7.1."""
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return body
