"""A client of the framed control plane: blocking, for scripts and tests."""

from __future__ import annotations

import itertools
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any

from loadflow.engine.base.json_reading import read_json
from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.control.frames import FrameDecoder, encode_frame
from loadflow.errors import LoadflowError, Mistake, RunError

__all__ = ["ControlClient", "ControlError"]


class ControlError(LoadflowError):
    """The server refused. `kind` is what a program decides by, such as `script`, `unauthorised`, `busy`; `mistakes` say where."""

    def __init__(self, kind: str, message: str, mistakes: tuple[Mistake, ...] = ()) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.mistakes = mistakes


class ControlClient:
    """One connection, for one thread.

    `tls`: a context made by `ssl.create_default_context()`, or None for a plain connection. `timeout_s` is how long an answer
    may take; it does not bound `follow`, whose silence means only that no load runs. Raises RunError when the server can't be
    reached or goes away, ControlError when it refuses.

    >>> with ControlClient(port=9940, token="s3cret") as client:  # doctest: +SKIP
    ...     run = client.start([["LD_start_test", {...}]])
    ...     result = client.follow(run, on_snapshot=print)
    ...     result["verdict"]["verdict"]
    'passed'
    """

    def __init__(
        self,
        host: str = "localhost",
        port: int = 9940,
        *,
        token: str | None = None,
        tls: ssl.SSLContext | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        self._token = token
        self._timeout_s = timeout_s
        self._decoder = FrameDecoder()
        self._frames: list[bytes] = []
        self._events: list[JsonObject] = []  # came while an answer was waited for
        self._ids = itertools.count(1)
        try:
            plain = socket.create_connection((host, port), timeout_s)
            self._socket = tls.wrap_socket(plain, server_hostname=host) if tls else plain
        except OSError as error:
            raise RunError(f"no control plane at {host}:{port} ({error}); start one with `loadflow serve`") from None

    def start(self, script: object, *, label: str = "", follow: bool = False) -> str:
        """Start a script (a list of actions, or a document) and return the run's id. With `follow`, `events` say how it goes."""
        return str(self.ask("start", script=script, label=label, follow=follow)["run"])

    def follow(self, run: str, on_snapshot: Callable[[JsonObject], object] = lambda snapshot: None) -> JsonObject:
        """Wait for a run's end and return its result; `on_snapshot` is given each second of its loads."""
        self.ask("follow", run=run)
        return self.follow_on(run, on_snapshot)

    def follow_on(self, run: str, on_snapshot: Callable[[JsonObject], object] = lambda snapshot: None) -> JsonObject:
        """`follow` for a run that is followed already: what other runs do meanwhile is dropped."""
        for event in self.events():
            if event["run"] == run and event["event"] == "end":
                result: JsonObject = event["data"]
                return result
            if event["run"] == run:
                on_snapshot(event["data"])
        raise AssertionError("events() does not end")

    def stop(self, run: str, reason: str = "") -> JsonObject:
        """Ask a run to end; returns its entry of `list`. Its end comes a moment later."""
        return dict(self.ask("stop", run=run, **({"reason": reason} if reason else {})))

    def list(self) -> list[JsonObject]:
        """The runs that the server knows, the oldest first."""
        return list(self.ask("list")["runs"])

    def result(self, run: str) -> JsonObject:
        """The result of a run that has ended; ControlError of kind not_ended until then."""
        return dict(self.ask("result", run=run))

    def quit(self, *, wait: bool = False) -> JsonObject:
        """End the server: it asks its runs to end, or with `wait` lets them."""
        return dict(self.ask("quit", wait=wait))

    def ask(self, op: str, **fields: object) -> Any:
        """Send one request and return the result of its reply."""
        number = next(self._ids)
        message = {"op": op, "id": number, **({"token": self._token} if self._token is not None else {}), **fields}
        self._send(encode_frame(json.dumps(message).encode()))
        until_s = time.monotonic() + self._timeout_s
        while True:
            reply = self._message(until_s)
            if "event" in reply:
                self._events.append(reply)
            elif reply["id"] in (number, None):  # None: refused before it was read
                return _result_of(reply)

    def events(self) -> Iterator[JsonObject]:
        """What happens to the runs that are followed, as it comes, without end; close the client to be done."""
        while True:
            yield self._events.pop(0) if self._events else self._message(None)

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, data: bytes) -> None:
        try:
            self._socket.settimeout(self._timeout_s)
            self._socket.sendall(data)
        except OSError as error:
            # the server may have said why before it closed: the answer is read first
            if isinstance(error, TimeoutError):
                raise RunError(f"the control plane does not read ({error}); is it overloaded?") from None

    def _message(self, until_s: float | None) -> JsonObject:
        while not self._frames:
            try:
                self._socket.settimeout(None if until_s is None else max(0.001, until_s - time.monotonic()))
                data = self._socket.recv(65_536)
            except TimeoutError:
                raise RunError(f"no answer within {self._timeout_s:g} s; give the client a longer timeout_s") from None
            except OSError as error:
                raise RunError(f"the connection to the control plane broke off ({error}); connect again") from None
            if not data:
                raise RunError("the control plane closed the connection; connect again, and see its log")
            self._frames += self._decoder.feed(data)
        message: JsonObject = read_json(self._frames.pop(0))
        return message


def _result_of(reply: JsonObject) -> object:
    if reply["ok"]:
        return reply["result"]
    error = reply["error"]
    mistakes = tuple(Mistake(one["place"], one["message"], one["hint"]) for one in error["mistakes"])
    raise ControlError(error["kind"], error["message"], mistakes)
