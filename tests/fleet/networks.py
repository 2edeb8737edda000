"""A NATS server in a network of its own, to which this machine has several links, each of which can be cut."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

from loadflow.engine.fleet.broker import find_server
from tests.services import need
from tests.waiting import wait_for

__all__ = ["Hub", "hub"]

PORT = 4222


class Hub:
    """`urls`: the addresses of the server, one over each link. Each link is a network of two of 100.64.0.0/10 (RFC 6598: of no host beyond
    this machine), by the number of this process, so that tests side by side have others."""

    def __init__(self, name: str, links: int) -> None:
        self.name = name
        self.urls: list[str] = []
        self._far: list[str] = []
        for link in range(links):
            self._connect((os.getpid() * 4 + link) % 2**20)

    def _connect(self, number: int) -> None:
        near, far = f"lf{number:x}n", f"lf{number:x}f"
        net = int(ip_address("100.64.0.0")) + 4 * number
        here, there = ip_address(net + 1), ip_address(net + 2)
        _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", self.name)
        _ip("address", "add", f"{here}/30", "dev", near)
        _ip("link", "set", near, "up")
        self.inside("ip", "address", "add", f"{there}/30", "dev", far)
        self.inside("ip", "link", "set", far, "up")
        self.urls.append(f"nats://{there}:{PORT}")
        self._far.append(far)

    def inside(self, *command: str) -> None:
        _ip("netns", "exec", self.name, *command)

    def cut(self, link: int) -> None:
        """At the far end: what is sent from here is lost, and nobody is told."""
        self.inside("ip", "link", "set", self._far[link], "down")

    def mend(self, link: int) -> None:
        self.inside("ip", "link", "set", self._far[link], "up")


@contextmanager
def hub(folder: Path, links: int) -> Iterator[Hub]:
    """Skips the test where this user may make no network."""
    name = f"loadflow-{os.getpid()}"
    made = shutil.which("ip") is not None and subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode == 0
    need(made, "a network namespace of one's own needs root")
    server: subprocess.Popen[bytes] | None = None
    try:
        _ip("netns", "exec", name, "ip", "link", "set", "lo", "up")
        hub = Hub(name, links)
        config, log = folder / "hub.conf", folder / "hub.log"
        config.write_text(f'listen: "0.0.0.0:{PORT}"\njetstream {{ store_dir: "{folder / "js"}", max_file_store: {2**33} }}\n')
        with log.open("wb") as told:
            server = subprocess.Popen(["ip", "netns", "exec", name, find_server(), "-c", str(config)], stdout=told, stderr=told)
        wait_for("the server of the hub", lambda: "Server is ready" in log.read_text(), 60)
        yield hub
    finally:
        if server is not None:
            server.kill()
            server.wait()
        subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)  # the links go with it


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"
