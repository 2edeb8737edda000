"""The target of the benchmarks: nginx, one worker on one core, answering a small JSON; it also counts what it served."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from types import TracebackType

CONFIG = """
worker_processes 1;
worker_cpu_affinity {affinity};
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 20000; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 600;
  server {{
    listen 127.0.0.1:{port}{version} backlog=8192;
    location / {{ default_type application/json; return 200 '{{"ok": true, "id": 12345, "name": "benchmark"}}'; }}
  }}
  server {{ listen 127.0.0.1:{status_port}; location / {{ stub_status; }} }}
}}
"""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Nginx:
    """A running nginx on loopback. Needs Debian's package nginx or nginx-light. `http2`: it speaks that, by prior knowledge."""

    def __init__(self, core: int = 1, *, http2: bool = False) -> None:
        if shutil.which("nginx") is None:
            raise SystemExit("these benchmarks need nginx: apt-get install nginx-light")
        self._folder = Path(tempfile.mkdtemp(prefix="loadflow-nginx-"))
        self.port, self._status_port = free_port(), free_port()
        affinity = bin(1 << core)[2:]
        version = " http2" if http2 else ""
        config = CONFIG.format(affinity=affinity, folder=self._folder, port=self.port, version=version, status_port=self._status_port)
        (self._folder / "nginx.conf").write_text(config)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def served(self) -> int:
        """Requests answered so far by the target's own count, those for this number included."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._status_port}/", timeout=5) as answer:
            found = re.search(r"(\d+) (\d+) (\d+) \n", answer.read().decode())
        assert found is not None
        return int(found.group(3))

    def __enter__(self) -> Nginx:
        self._process = subprocess.Popen(["nginx", "-c", str(self._folder / "nginx.conf"), "-g", "daemon off;"])
        until = time.monotonic() + 10
        while time.monotonic() < until:
            try:
                self.served()
                return self
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"nginx did not start; see {self._folder}/error.log")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(10)
        shutil.rmtree(self._folder, ignore_errors=True)
