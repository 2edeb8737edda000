"""Servers and raw clients for the tests of the control plane."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loadflow.engine.control.client import ControlClient
from loadflow.engine.control.frames import FrameDecoder, encode_frame
from loadflow.engine.control.limits import Limits
from loadflow.engine.control.server import ControlServer
from loadflow.engine.script.command import Command
from loadflow.engine.session.session import Session
from tests.waiting import wait_for

__all__ = ["QUICK", "RawClient", "client_of", "gate_session", "load", "open_files", "serving", "until"]

LIMIT_S = 30.0
# short waits, so that a test of one is not a test of patience
QUICK = Limits(handshake_s=0.5, read_s=0.5, idle_s=0.5, write_s=0.5, quit_s=10)


@contextmanager
def serving(tmp_path: Path, *, limits: Limits | None = None, session: Session | None = None, **settings: Any) -> Iterator[ControlServer]:
    host_session = session or Session(runs_dir=tmp_path / "runs")
    server = ControlServer(port=0, session=host_session, root=settings.pop("root", tmp_path), limits=limits, **settings)
    with server:
        yield server
    assert server.wait(0), "the server outlived close()"


def client_of(server: ControlServer, **settings: Any) -> ControlClient:
    return ControlClient("127.0.0.1", server.port, timeout_s=LIMIT_S, **settings)


class RawClient:
    """A socket that sends what it likes. As a context manager it is closed."""

    def __init__(self, server: ControlServer) -> None:
        self.sock = socket.create_connection(("127.0.0.1", server.port), LIMIT_S)
        self.sock.settimeout(LIMIT_S)
        self._decoder = FrameDecoder()
        self._frames: list[bytes] = []

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def ask(self, **message: Any) -> Any:
        self.send(encode_frame(json.dumps(message).encode()))
        return self.reply()

    def reply(self) -> Any:
        """The next frame, or None when the server has closed."""
        while not self._frames:
            data = self.received()
            if not data:
                return None
            self._frames += self._decoder.feed(data)
        return json.loads(self._frames.pop(0))

    def received(self) -> bytes:
        try:
            return self.sock.recv(65_536)
        except ConnectionResetError:
            return b""

    def all(self) -> bytes:
        """Everything until the server closes."""
        data = b""
        while part := self.received():
            data += part
        return data

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()


def gate_session(tmp_path: Path) -> tuple[Session, threading.Event, threading.Event]:
    """A host whose command `wait_here` says that it was reached, and goes on once the gate is open: (session, reached, gate)."""
    reached, gate = threading.Event(), threading.Event()

    def wait_here() -> str:
        reached.set()
        assert gate.wait(LIMIT_S)
        return "through"

    session = Session(runs_dir=tmp_path / "runs", own_commands={"wait_here": Command("wait_here", wait_here, "Waits.")})
    return session, reached, gate


def load(url: str, **keys: Any) -> list[Any]:
    """One LD_start_test on `url`."""
    quick = {"user_count": 2, "spawn_rate": 50, "test_time": 1, "wait_time": 0.02}
    step = {"method": "get", "request_url": url, **keys.pop("step", {})}
    return ["LD_start_test", {"user_detail_dict": {"user": "fast_http_user"}, **quick, "tasks": [step], **keys}]


def until(true: Callable[[], bool], what: str) -> None:
    """Wait for something that says nothing when it happens."""
    wait_for(what, true, LIMIT_S, every_s=0.005)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
