"""One HTTP request at a time, bounded in time and in size as a whole: a server that sends a byte now and then, or without end, holds
nobody."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from loadflow.engine.exporters.shared import way
from loadflow.engine.exporters.shared.trouble import Unreachable, unreachable, without_user
from loadflow.engine.plan.target import HostLists

__all__ = ["MOST_BYTES", "Answered", "Bounded"]

MOST_BYTES = 2**22
CHUNK_BYTES = 2**16


class Answered:
    """`body`: at most MOST_BYTES of it; `cut`: there was more."""

    __slots__ = ("body", "cut", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes, cut: bool) -> None:
        self.status, self.headers, self.body, self.cut = status, headers, body, cut


class Bounded:
    """Connections are kept. `timeout_s`: for a whole request, from connecting to the last byte of the answer. `lists` say which hosts may
    be asked."""

    def __init__(self, timeout_s: float, lists: HostLists = (), **settings: Any) -> None:
        import urllib3

        self._timeout_s = timeout_s
        self._pool = urllib3.PoolManager(timeout=timeout_s, retries=False, **settings)
        self._sockets = _Sockets()
        self._pool.pool_classes_by_scheme = way.pool_classes(lists, self._sockets)

    def __call__(self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> Answered:
        """A user and password in the URL go into a header; a redirect is an answer. Raises Unreachable."""
        import urllib3

        bare, shown, user = without_user(url)
        known = {**(urllib3.make_headers(basic_auth=user) if user else {}), **(headers or {})}
        over = threading.Event()
        timer = threading.Timer(self._timeout_s, self._end, (over,))
        timer.daemon = True
        timer.start()
        try:
            answer = self._pool.request(method, bare, body=body, headers=known, redirect=False, preload_content=False)
            try:
                found, cut = self._read(answer, over)
            finally:
                answer.release_conn() if answer.length_remaining == 0 and not over.is_set() else answer.close()
            return Answered(int(answer.status), answer.headers, found, cut)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if over.is_set():
                raise Unreachable(f"{shown} did not answer whole within {self._timeout_s:g} s") from None
            raise unreachable(shown, error) from None
        finally:
            timer.cancel()

    def close(self) -> None:
        self._pool.clear()

    def _read(self, answer: Any, over: threading.Event) -> tuple[bytes, bool]:
        found = bytearray()
        for chunk in answer.stream(CHUNK_BYTES):
            found += chunk
            if over.is_set():
                raise OSError("over")
            if len(found) > MOST_BYTES:
                return bytes(found[:MOST_BYTES]), True
        if over.is_set():
            raise OSError("over")
        return bytes(found), False

    def _end(self, over: threading.Event) -> None:
        over.set()
        self._sockets.shut()


class _Sockets:
    """Those of all connections that are open, which end a request that takes too long: in whatever library or TLS it waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: dict[int, socket.socket] = {}

    def opened(self, connection: object, own: socket.socket) -> None:
        self.closed(connection)
        with self._lock:
            self._of[id(connection)] = own.dup()  # TLS takes the socket itself away

    def closed(self, connection: object) -> None:
        with self._lock:
            if own := self._of.pop(id(connection), None):
                own.close()

    def shut(self) -> None:
        with self._lock:
            for own in self._of.values():
                with suppress(OSError):
                    own.shutdown(socket.SHUT_RDWR)
