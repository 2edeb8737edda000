"""A site with a form, recorded and played: the site accepts only the token of the page that it gave last, and gets it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest

from loadflow.engine.commands.ld_har_to_action_json import har_to_action_json
from loadflow.engine.records.outcome import Outcome
from tests.recording.hars import har
from tests.recording.test_round_trip import Recorder, play


class Site(ThreadingHTTPServer):
    """`drawn` are the values that each page held, `sent` what came back: the form's token, the cookie's, the link's id."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Pages)
        self.drawn: list[list[str]] = []
        self.sent: list[list[str]] = []


class Pages(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/form":
            token, cookie, order = drawn = [uuid4().hex, uuid4().hex, uuid4().hex]
            self.server.drawn.append(drawn)
            page = f'<form><input type="hidden" name="csrf" value="{token}"></form><a href="/orders/{order}">order</a>'
            self._answer(200, page, {"Set-Cookie": f"xsrf={cookie}; Path=/"})
        else:
            self.server.sent[-1].append(url.path.rpartition("/")[2])
            self._answer(200 if self.server.sent[-1] == self.server.drawn[-1] else 403, "<p>order</p>")

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
        self.server.sent.append([form["csrf"][0], self.headers["x-xsrf"]])
        self._answer(200 if self.server.sent[-1] == self.server.drawn[-1][:2] else 403, "<p>done</p>")

    def _answer(self, status: int, page: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "text/html", "Content-Length": str(len(page)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(page.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the tests read what was sent."""


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("user", ["fast_http_user", "http_user"])
def test_a_form_is_sent_with_the_token_of_its_own_page(user: str, site: Site, tmp_path: Path) -> None:
    """The token in a hidden field, the one in a cookie that a script copies to a header, and the id in a link."""
    browser = Recorder(f"http://127.0.0.1:{site.server_port}")
    browser.send("GET", "/form", {})
    token, cookie, order = recorded = site.drawn[0]
    kind = {"Content-Type": "application/x-www-form-urlencoded", "X-Xsrf": cookie}
    browser.send("POST", "/form", kind, f"csrf={token}&name=ann".encode())
    browser.send("GET", f"/orders/{order}", {})
    document = har_to_action_json(har(*browser.entries))
    assert not [value for value in recorded if value in json.dumps(document)]
    done = play(document, tmp_path, user)
    assert [hit.outcome for hit in done.hits] == [Outcome.OK] * 3
    assert len(site.drawn) == 2
    assert site.sent == site.drawn
    assert site.drawn[1] != recorded
