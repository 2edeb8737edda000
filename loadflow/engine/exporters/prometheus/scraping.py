"""The HTTP server that Prometheus scrapes: knows what was fetched, so that the end of a script can wait for the last seconds."""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from socketserver import TCPServer, ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIEnvironment

from loadflow.errors import RunError

__all__ = ["ScrapeServer", "last_scrape_wait_s"]

REQUEST_LIMIT_S = 10.0  # for a client that says nothing: each has a thread
GRACE_S = 1.0  # a scrape may be late by this, and by a quarter of its interval
App = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]


def last_scrape_wait_s(scraped_at_s: Sequence[float], now_s: float, limit_s: float) -> float:
    """How long to wait for a last scrape, given when the last two were; 0.0 when none is due within `limit_s`.

    >>> last_scrape_wait_s([100.0, 105.0], 107.0, 15.0)
    5.25
    >>> last_scrape_wait_s([100.0, 160.0], 161.0, 15.0)
    0.0
    """
    if len(scraped_at_s) < 2:
        return 0.0
    interval_s = scraped_at_s[-1] - scraped_at_s[-2]
    due_in_s = scraped_at_s[-1] + interval_s - now_s
    return max(0.0, due_in_s + interval_s / 4 + GRACE_S) if limit_s > 0 and due_in_s <= limit_s else 0.0


class ScrapeServer:
    """Serves `app` on a thread until `close`. `version` says how much the app would show now; it only grows.

    `port`: the one that is listened on, also when a free one was asked for with 0. Raises RunError when it can't listen.
    """

    def __init__(self, addr: str, port: int, app: App, version: Callable[[], int]) -> None:
        self.scrapes = 0
        self.scraped_at_s: deque[float] = deque(maxlen=2)
        self._app = app
        self._version = version
        self._told = -1
        self._news = threading.Condition()
        try:
            family = socket.getaddrinfo(addr, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
            self._server = _server_class(family)((addr, port), _Handler)
        except (OSError, OverflowError) as error:
            text = getattr(error, "strerror", None) or str(error)
            raise RunError(f"{addr}:{port} can't be listened on for Prometheus: {text}; choose another port, 0 takes a free one") from None
        self._server.set_app(self._answer)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="loadflow-prometheus", daemon=True)
        self._thread.start()

    def wait_for(self, version: int, timeout_s: float) -> bool:
        """Whether everything up to `version` was fetched, at once or within the time."""
        with self._news:
            return self._news.wait_for(lambda: self._told >= version, timeout_s)

    def close(self) -> None:
        """Free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        version = self._version()
        parts = list(self._app(environ, start_response))
        # a part of the series, or none, proves nothing
        if environ["REQUEST_METHOD"] != "GET" or environ.get("QUERY_STRING") or environ.get("PATH_INFO") == "/favicon.ico":
            return parts
        return _Told(parts, lambda: self._fetched(version))

    def _fetched(self, version: int) -> None:
        with self._news:
            self.scrapes += 1
            self.scraped_at_s.append(time.monotonic())
            self._told = max(self._told, version)
            self._news.notify_all()


class _Told(list[bytes]):
    """Calls `then` once all parts were written to the socket."""

    def __init__(self, parts: Iterable[bytes], then: Callable[[], None]) -> None:
        super().__init__(parts)
        self._then = then

    def __iter__(self) -> Iterator[bytes]:
        yield from super().__iter__()
        self._then()


class _Handler(WSGIRequestHandler):
    timeout = REQUEST_LIMIT_S

    def log_message(self, format: str, *args: object) -> None:
        """Scrapes are no news."""


def _server_class(family: socket.AddressFamily) -> type[WSGIServer]:
    class Server(ThreadingMixIn, WSGIServer):
        daemon_threads = True
        address_family = family

        def server_bind(self) -> None:
            """Without asking a name server who we are, as the base class does."""
            TCPServer.server_bind(self)
            self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]
            self.setup_environ()

    return Server
