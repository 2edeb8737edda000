"""A NATS server of our own, for a load whose agents were given no other: a child process on one port, with a folder of its own.

It lives as long as its `Broker`. Killed, it is started again on the same port and folder, and goes on where it was. When this process
dies, however it does, the kernel ends it (on Linux; elsewhere the end of the block does).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from pathlib import Path
from types import TracebackType

from loadflow.engine.base.disk import told_disk
from loadflow.engine.fleet.access import Access, Certificate, Keys, agent_permissions
from loadflow.engine.fleet.keys import is_loopback
from loadflow.errors import RunError

__all__ = ["SERVER_VARIABLE", "Broker", "find_server"]

SERVER_VARIABLE = "LOADFLOW_NATS_SERVER"
OLDEST = (2, 10)
START_S = 20.0
LOOK_S = 0.1
ANY = ("0.0.0.0", "::")
MEMORY_BYTES = 64 * 2**20
HOW_TO_GET = (
    f'install it with pip install "loadflow[broker]", put a nats-server {OLDEST[0]}.{OLDEST[1]} or newer on PATH or into '
    f"{SERVER_VARIABLE}, or name a running server with --nats-url"
)


def find_server() -> Path:
    """The nats-server to start: of LOADFLOW_NATS_SERVER, beside this Python, or on PATH. Raises RunError where none is new enough."""
    named = os.environ.get(SERVER_VARIABLE)
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    on_path = shutil.which("nats-server")
    places = [Path(named)] if named else [beside, Path(sys.executable).parent / "nats-server", *([Path(on_path)] if on_path else [])]
    found = []
    for place in places:
        version = _version(place)
        if version >= OLDEST:
            return place
        if version:
            found.append(f"{place} is {'.'.join(map(str, version))}")
    what = f"{SERVER_VARIABLE} names {named}, which can't be used" if named and not found else "; ".join(found)
    raise RunError(f"agents need a NATS server, and there is none{f' ({what})' if what else ''}; {HOW_TO_GET}")


def _version(server: Path) -> tuple[int, ...]:
    """() for what is not a server."""
    try:
        said = subprocess.run([server, "--version"], capture_output=True, text=True, timeout=START_S, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    match = re.search(r"v(\d+)\.(\d+)\.(\d+)", said)
    return tuple(map(int, match.groups())) if match else ()


class Broker:
    """The server, as a context manager. `folder`: for its files, and made. `port` 0: a free one.

    Two users: who holds the coordinator's key may do everything, an agent what agents do. On more than loopback all is encrypted, by a
    certificate that only who knows the same keys believes.
    """

    def __init__(self, folder: Path, keys: Keys, *, host: str = "127.0.0.1", port: int = 0, store_bytes: int = 2**40) -> None:
        self._folder = folder
        self._keys = keys
        self._host = "0.0.0.0" if host == "*" else host.strip("[]")
        self._server = find_server()
        self.port = port or _free_port(self._host)
        self._certificate = None if is_loopback(host) else Certificate.of(keys)
        self._store_bytes = store_bytes
        self._process: subprocess.Popen[bytes] | None = None
        self._closing = threading.Event()
        self._watcher: threading.Thread | None = None
        self.starts = 0

    @property
    def access(self) -> Access:
        """For the coordinator, on this machine."""
        return Access(self._url, seed=self._keys.coordinator, authority=self._keys.authority if self._certificate else None)

    @property
    def agent_access(self) -> Access:
        return Access(self._url, seed=self._keys.agent, authority=self._keys.authority if self._certificate else None)

    @property
    def place(self) -> str:
        """For agents, wherever they are: where all addresses are listened on, by this machine's name."""
        return self._at(socket.gethostname() if self._host in ANY else self._host)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def _url(self) -> str:
        return self._at("127.0.0.1" if self._host in ANY else self._host)

    def _at(self, host: str) -> str:
        return f"{'tls' if self._certificate else 'nats'}://{f'[{host}]' if ':' in host else host}:{self.port}"

    def __enter__(self) -> Broker:
        with told_disk(self._folder):
            self._folder.mkdir(0o700, parents=True, exist_ok=True)
            self._write_settings()
        self._start()
        self._watcher = threading.Thread(target=self._watch, name="loadflow-broker", daemon=True)
        self._watcher.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closing.set()
        if self._watcher is not None:
            self._watcher.join()
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=3)
            except subprocess.TimeoutExpired:
                self._process.kill()
        if self._process is not None:
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _watch(self) -> None:
        while not self._closing.wait(LOOK_S):
            assert self._process is not None
            if self._process.poll() is not None:
                with contextlib.suppress(RunError):  # tried again in a moment
                    self._start()

    def _start(self) -> None:
        log = self._folder / "nats-server.log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "loadflow.engine.entry.tethered", str(self._server), "-c", str(self._folder / "nats.conf")],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                env=_environment(),
                start_new_session=True,
            )
        self.starts += 1
        until = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self._process.kill()
                raise RunError(f"the NATS server does not start on {self._host}:{self.port}: {_tail(log)}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        host = "127.0.0.1" if self._host == "0.0.0.0" else self._host
        with contextlib.suppress(OSError), socket.create_connection((host, self.port), timeout=1) as one:
            one.settimeout(1)
            return one.recv(5).startswith(b"INFO")
        return False

    def _write_settings(self) -> None:
        settings: dict[str, object] = {
            "host": self._host,
            "port": self.port,
            "max_payload": 1024 * 1024,
            "jetstream": {
                "store_dir": str(self._folder / "store"),
                "max_memory_store": MEMORY_BYTES,
                "max_file_store": self._store_bytes,
            },
            "authorization": {
                "users": [
                    {"nkey": self._keys.coordinator_public},
                    {"nkey": self._keys.agent_public, "permissions": agent_permissions()},
                ]
            },
        }
        if self._certificate is not None:
            chain, key = self._folder / "server.pem", self._folder / "server.key"
            _write(chain, self._certificate.chain)
            _write(key, self._certificate.key)
            settings["tls"] = {"cert_file": str(chain), "key_file": str(key), "timeout": 5}
        # the server's own format is a superset of JSON
        _write(self._folder / "nats.conf", json.dumps(settings, indent=2).encode())


def _write(path: Path, data: bytes) -> None:
    path.touch(0o600)
    path.write_bytes(data)


def _environment() -> dict[str, str]:
    from loadflow.engine.process.launch import child_environment

    return child_environment()


def _free_port(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as one:
        one.bind((host, 0))
        port: int = one.getsockname()[1]
        return port


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"
