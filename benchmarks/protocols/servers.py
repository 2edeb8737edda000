"""What is loaded, and counts what it answers: `benchmarks/echo`, a small program of Rust, `benchmarks/http3`, one of Go, or mosquitto."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Protocol

__all__ = ["CORE", "Server", "cpu_s", "go_program", "program", "serving"]

CORE = ["taskset", "-c", "1"]
CRATE = Path(__file__).parent.parent / "echo"
MODULE = Path(__file__).parent.parent / "http3"
# when mosquitto says how much it has received, and in which order
TICK, PUBLISHED = "$SYS/broker/uptime", "$SYS/broker/publish/messages/received"


class Server(Protocol):
    """`wait_s`: so long `answered` may take."""

    port: int
    wait_s: float

    def answered(self) -> int:
        """Messages so far."""

    def cpu_s(self) -> float:
        """So far."""


@cache
def program(name: str) -> str:
    """The path of one of the crate's programs, built."""
    if shutil.which("cargo") is None:
        raise SystemExit("the servers of these benchmarks are written in Rust: install it, https://rustup.rs")
    subprocess.run(["cargo", "build", "--quiet", "--release", "--locked", "--bins"], cwd=CRATE, check=True)
    folder = Path(os.environ.get("CARGO_TARGET_DIR", CRATE / "target"))
    return str(folder.resolve() / "release" / name)


@cache
def go_program(name: str) -> str:
    """The path of one of the module's programs, built."""
    if shutil.which("go") is None:
        raise SystemExit("the server of this benchmark, and a client, are written in Go: install it, https://go.dev")
    made = MODULE / "build" / name
    subprocess.run(["go", "build", "-o", str(made), f"./{name}"], cwd=MODULE, check=True)
    return str(made.resolve())


@contextlib.contextmanager
def serving(kind: str) -> Iterator[Server]:
    """`kind`: what `echo` takes on its command line, mosquitto or http3."""
    start = {"mosquitto": _mosquitto, "http3": _http3}.get(kind, _echo)
    with start(kind) as server:
        yield server


class _Echo:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self._process = process
        self.port, self.wait_s = int(process.stdout.readline()), 0.0

    def answered(self) -> int:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def cpu_s(self) -> float:
        return cpu_s(self._process.pid)


def _echo(kind: str) -> contextlib.AbstractContextManager[_Echo]:
    return _counting([program("echo"), *kind.split()])


@contextlib.contextmanager
def _http3(_kind: str) -> Iterator[_Echo]:
    with tempfile.TemporaryDirectory() as written:
        pair = [f"{written}/chain.pem", f"{written}/key.pem"]
        make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost"]
        subprocess.run([*make, "-out", pair[0], "-keyout", pair[1]], check=True, capture_output=True)
        with _counting([go_program("server"), *pair]) as server:
            yield server


@contextlib.contextmanager
def _counting(command: list[str]) -> Iterator[_Echo]:
    with subprocess.Popen([*CORE, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield _Echo(process)
        finally:
            process.kill()


class _Mosquitto:
    """Its count comes once a second, so `answered` waits for the next."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        import paho.mqtt.client as paho
        from paho.mqtt.enums import CallbackAPIVersion

        self._process, self.port, self.wait_s = process, port, 1.5
        self._ticked = threading.Condition()
        self._ticks = self._published = 0
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._told
        until = time.monotonic() + 10
        while True:
            try:
                self._client.connect("127.0.0.1", port)
                break
            except ConnectionRefusedError:
                if time.monotonic() > until:
                    raise SystemExit("mosquitto did not start") from None
                time.sleep(0.05)
        self._client.subscribe([(TICK, 0), (PUBLISHED, 0)])
        self._client.loop_start()

    def answered(self) -> int:
        with self._ticked:
            now = self._ticks
            self._ticked.wait_for(lambda: self._ticks > now)
        time.sleep(0.05)  # the count comes right behind the tick, unless it is what it was
        return self._published

    def cpu_s(self) -> float:
        return cpu_s(self._process.pid)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _told(self, _client: Any, _data: Any, message: Any) -> None:
        if message.topic == PUBLISHED:
            self._published = int(message.payload)
            return
        with self._ticked:
            self._ticks += not message.retain
            self._ticked.notify_all()


@contextlib.contextmanager
def _mosquitto(_kind: str) -> Iterator[_Mosquitto]:
    binary = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
    if binary is None:
        raise SystemExit("this benchmark needs mosquitto: apt-get install mosquitto")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as config:
        config.write(f"listener {port} 127.0.0.1\nallow_anonymous true\nsys_interval 1\n")
        config.flush()
        command = [*CORE, binary, "-c", config.name]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                server = _Mosquitto(process, port)
                yield server
                server.close()
            finally:
                process.kill()


def cpu_s(pid: int) -> float:
    """User and system time of a process so far, to the nanosecond; 0 for one that is gone."""
    try:
        return time.clock_gettime(~pid << 3 | 2)  # what clock_getcpuclockid(3) makes on Linux
    except OSError:
        return 0.0
