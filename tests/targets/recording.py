"""A web server that writes down what it received: the truth that conformance tests compare with.

`python -m tests.targets.recording --port 0 [--control-port 0] [--tls CERT KEY] [--lifeline]`

One JSON line on stdout says where it listens: {"url", "port", "control_port", "pid"}. The routes are in `tests.targets.routes`.
The control port answers, always in plain HTTP:

/__records[?path=/ok]  {"records": [...]}: every whole request in the order of arrival
/__counts              {path without query: requests}
/__connections         {"opened", "open", "malformed"}
/__reset               forgets records and counts, and the counters of /ok and /flaky; open connections stay open
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import ssl
import sys
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import parse_qs

from tests.targets.routes import Answer, Routes, response
from tests.targets.wire import Malformed, Request, RequestParser

# Listen queue: 2,000 users may connect in the same moment.
BACKLOG = 4096


class Recorder:
    """Everything received so far. `at_ns` is CLOCK_MONOTONIC, which all processes of one machine share."""

    def __init__(self) -> None:
        self.received: list[tuple[int, int, Request]] = []
        self.opened = 0
        self.open = 0
        self.malformed = 0

    def add(self, connection: int, request: Request) -> None:
        self.received.append((time.monotonic_ns(), connection, request))

    def reset(self) -> None:
        self.received.clear()
        self.malformed = 0

    def records(self, path: str | None) -> list[dict[str, Any]]:
        return [
            {
                "at_ns": at_ns,
                "connection": connection,
                "method": request.method,
                "target": request.target,
                "headers": request.headers,
                "body": b64encode(request.body).decode("ascii"),
            }
            for at_ns, connection, request in self.received
            if path is None or request.path == path
        ]

    def counts(self) -> Counter[str]:
        return Counter(request.path for _, _, request in self.received)


class Connection(asyncio.Protocol):
    """One client's connection: requests in, each answered in order and only after the one before it.

    `answer` is asked once a request's turn has come; `recorder` None: nothing is written down (the control port).
    """

    def __init__(self, answer: Callable[[Request], Answer], recorder: Recorder | None) -> None:
        self._answer = answer
        self._recorder = recorder
        self._parser = RequestParser()
        self._waiting: list[Request] = []
        self._writing: asyncio.Task[None] | None = None
        self._number = 0
        self._transport: asyncio.Transport
        self._drained = asyncio.Event()
        self._drained.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._recorder is not None:
            self._recorder.opened += 1
            self._recorder.open += 1
            self._number = self._recorder.opened

    def connection_lost(self, exc: Exception | None) -> None:
        if self._recorder is not None:
            self._recorder.open -= 1
        if self._writing is not None:
            self._writing.cancel()

    def pause_writing(self) -> None:
        self._drained.clear()

    def resume_writing(self) -> None:
        self._drained.set()

    def data_received(self, data: bytes) -> None:
        if self._transport.is_closing():
            return
        try:
            requests = self._parser.feed(data)
        except Malformed as error:
            if self._recorder is not None:
                self._recorder.malformed += 1
            self._transport.write(response(400, str(error).encode(), [("Connection", "close")]))
            self._transport.close()
            return
        for request in requests:
            if self._recorder is not None:
                self._recorder.add(self._number, request)
            self._waiting.append(request)
        if self._writing is None:
            self._answer_waiting()
        if self._parser.continue_due():
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _answer_waiting(self) -> None:
        while self._waiting and not self._transport.is_closing():
            request = self._waiting.pop(0)
            answer = self._answer(request)
            then = answer.then if request.keep_alive else "close"
            # Most answers are one piece without delay: written here, with no task of their own.
            if not answer.pieces or (len(answer.pieces) == 1 and not answer.pieces[0][0]):
                if answer.pieces:
                    self._transport.write(answer.pieces[0][1])
                if then != "keep":
                    self._transport.close()
                continue
            self._writing = asyncio.get_running_loop().create_task(self._write_slowly(answer.pieces, then))
            return

    async def _write_slowly(self, pieces: list[tuple[float, bytes]], then: str) -> None:
        for wait_s, piece in pieces:
            if wait_s:
                await asyncio.sleep(wait_s)
            await self._drained.wait()
            self._transport.write(piece)
        self._writing = None
        if then != "keep":
            self._transport.close()
        else:
            self._answer_waiting()


class Control:
    """The second port: questions about the first."""

    def __init__(self, recorder: Recorder, routes: Routes) -> None:
        self._recorder = recorder
        self._routes = routes

    def answer(self, request: Request) -> Answer:
        recorder = self._recorder
        value: Any
        if request.path == "/__records":
            query = parse_qs(request.target.partition("?")[2])
            value = {"records": recorder.records(query.get("path", [None])[0])}
        elif request.path == "/__counts":
            value = recorder.counts()
        elif request.path == "/__connections":
            value = {"opened": recorder.opened, "open": recorder.open, "malformed": recorder.malformed}
        elif request.path == "/__reset":
            recorder.reset()
            self._routes.reset()
            value = {"status": "reset"}
        else:
            return Answer([(0.0, response(404, b"ask for /__records, /__counts, /__connections or /__reset"))])
        return Answer([(0.0, response(200, json.dumps(value).encode(), [("Content-Type", "application/json")]))])


def _allow_many_sockets() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _serve(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    recorder, routes = Recorder(), Routes()
    control = Control(recorder, routes)
    context = None
    if options.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*options.tls)
    server = await loop.create_server(lambda: Connection(routes.answer, recorder), options.host, options.port, ssl=context, backlog=BACKLOG)
    asking = await loop.create_server(lambda: Connection(control.answer, None), options.host, options.control_port)
    port, control_port = (listener.sockets[0].getsockname()[1] for listener in (server, asking))
    url = f"{'https' if context else 'http'}://{options.host}:{port}"
    print(json.dumps({"url": url, "port": port, "control_port": control_port, "pid": os.getpid()}), flush=True)
    if options.lifeline:
        await loop.run_in_executor(None, sys.stdin.read)
    else:
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.targets.recording", description="a web server that writes down what it received")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--control-port", type=int, default=0, help="0: any free one")
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"), help="PEM files; the control port stays plain")
    parser.add_argument("--lifeline", action="store_true", help="end when stdin is closed, so that no test run leaves a server behind")
    options = parser.parse_args()
    _allow_many_sockets()
    try:
        asyncio.run(_serve(options))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
