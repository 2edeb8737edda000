"""Servers of the control plane over HTTP, and clients for its tests."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadflow.engine.control.limits import Limits
from loadflow.engine.control.web.server import WebServer
from loadflow.engine.session.session import Session
from tests.control.serving import LIMIT_S

__all__ = ["Answer", "Following", "ask", "ask_raw", "follow", "plan", "web_serving"]


@contextmanager
def web_serving(tmp_path: Path, *, limits: Limits | None = None, session: Session | None = None, **settings: Any) -> Iterator[WebServer]:
    host_session = session or Session(runs_dir=tmp_path / "runs")
    with WebServer(port=0, session=host_session, root=settings.pop("root", tmp_path), limits=limits, **settings) as server:
        yield server
    assert server.wait(0), "the server outlived close()"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]


def ask(
    server: WebServer,
    method: str,
    path: str,
    body: Any = None,
    *,
    tls: ssl.SSLContext | None = None,
    **headers: str,
) -> Answer:
    """One request, its answer whole; a body that is not bytes is sent as JSON. `_` in a header's name is `-`."""
    with Following(server, method, path, body, tls=tls, **headers) as asked:
        return Answer(asked.status, asked.headers, asked.answer.read())


class Following:
    """A request whose answer is read line by line."""

    def __init__(
        self, server: WebServer, method: str, path: str, body: Any = None, *, tls: ssl.SSLContext | None = None, **headers: str
    ) -> None:
        host = "127.0.0.1"
        self.connection = (
            http.client.HTTPSConnection(host, server.port, timeout=LIMIT_S, context=tls)
            if tls
            else http.client.HTTPConnection(host, server.port, timeout=LIMIT_S)
        )
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        self.connection.request(method, path, data, {name.replace("_", "-"): value for name, value in headers.items()})
        self.answer = self.connection.getresponse()
        self.status = self.answer.status
        self.headers = {name.lower(): value for name, value in self.answer.getheaders()}

    def line(self) -> Any:
        return json.loads(self.answer.readline())

    def __enter__(self) -> Following:
        return self

    def __exit__(self, *_: object) -> None:
        self.answer.close()
        self.connection.close()


def follow(server: WebServer, body: Any, query: str = "") -> Following:
    return Following(server, "POST", f"/run{query}", body)


def ask_raw(server: WebServer, data: bytes) -> bytes:
    """What comes for these bytes until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), LIMIT_S) as sock:
        sock.settimeout(LIMIT_S)
        answer = b""
        try:
            sock.sendall(data)
            while part := sock.recv(65_536):
                answer += part
        except ConnectionError:
            pass
        return answer


def plan(url: str, **keys: Any) -> dict[str, Any]:
    """A ScenarioPlan as LoadPilot's command writes it."""
    return {
        "name": "Shop",
        "rps": 20,
        "duration_secs": 1,
        "ramp_up_secs": 0,
        "mode": "constant",
        "steps": 5,
        "target_url": url,
        "tasks": [{"name": "home", "weight": 1, "url": "/ok", "method": "GET", "headers": {}, "body_template": None}],
        "data_pool": [],
        "scenario_file": None,
        "scenario_class": None,
        "n_vusers": None,
        "vuser_configs": [],
        "thresholds": {},
        **keys,
    }
