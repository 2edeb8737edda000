"""A target that freezes: it answers at once, but for one second of its life."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["frozen_for_a_second"]


@contextmanager
def frozen_for_a_second() -> Iterator[str]:
    """Its URL. The second begins a second after its first request; who asks within it is answered at its end."""
    first = threading.Event()
    begin = [0.0]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if not first.is_set():
                begin[0] = time.monotonic()
                first.set()
            into = time.monotonic() - begin[0]
            if 1 <= into < 2:
                time.sleep(2 - into)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 1024  # many users connect at once

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
