"""Real receivers of metrics on free ports, with their data in temporary folders; and what to wait with."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from tests.services import need
from tests.waiting import wait_for

__all__ = ["Answering", "InfluxDB1", "Prometheus", "Pushgateway", "Service", "VictoriaMetrics", "fetch", "free_port", "wait_until"]

START_S = 60.0


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_until(true: Callable[[], Any], what: str, timeout_s: float = 60.0) -> Any:
    """The first value of `true` that counts as true."""
    return wait_for(what, lambda: true() or None, timeout_s, every_s=0.02)


def fetch(url: str, body: bytes | None = None, **headers: str) -> bytes:
    request = urllib.request.Request(url, body, {name.replace("_", "-"): value for name, value in headers.items()})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return bytes(answer.read())


class Service:
    """A server process that can be stopped and started again on the same port, with the same data."""

    program = ""
    package = ""
    ready_path = "/"

    def __init__(self) -> None:
        self._program = shutil.which(self.program)
        need(self._program, f"{self.program} is not installed (Debian: apt-get install {self.package})")
        self.folder = Path(tempfile.mkdtemp(prefix=f"loadflow-{self.package}-"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def arguments(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        assert self._program is not None
        with (self.folder / "log").open("ab") as output:
            command = [self._program, *self.arguments()]
            self._process = subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        wait_until(self._ready, f"{self.program} started", START_S)

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait(30)

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text(errors="replace")[-2_000:]
        with contextlib.suppress(OSError):
            fetch(self.url + self.ready_path)
            return True
        return False

    @contextlib.contextmanager
    def running(self) -> Iterator[Any]:
        self.start()
        try:
            yield self
        finally:
            self.stop()
            shutil.rmtree(self.folder, ignore_errors=True)


class Prometheus(Service):
    """Scrapes `ports` of this machine every half second; takes remote writes."""

    program = "prometheus"
    package = "prometheus"
    ready_path = "/-/ready"

    def __init__(self, *ports: int, flags: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._flags = flags
        targets = ", ".join(f"'127.0.0.1:{port}'" for port in ports)
        (self.folder / "config.yml").write_text(
            f"global: {{scrape_interval: 500ms, scrape_timeout: 500ms}}\n"
            f"scrape_configs: [{{job_name: loadflow, static_configs: [{{targets: [{targets}]}}]}}]\n"
        )

    def arguments(self) -> list[str]:
        return [
            "--config.file=config.yml",
            "--storage.tsdb.path=data",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--web.enable-remote-write-receiver",
            *self._flags,
        ]

    def query(self, promql: str, at_s: float | None = None) -> list[dict[str, Any]]:
        """The result of an instant query, each entry with `metric` and `value` or `values`."""
        given = {"query": promql, **({"time": f"{at_s:.3f}"} if at_s is not None else {})}
        try:
            answer = fetch(f"{self.url}/api/v1/query?{urllib.parse.urlencode(given)}")
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{promql}: {error.read().decode()}") from None
        return list(json.loads(answer)["data"]["result"])

    def number(self, promql: str, at_s: float | None = None) -> float | None:
        """The value of a query with one result; None when there is none."""
        result = self.query(promql, at_s)
        assert len(result) <= 1, result
        return float(result[0]["value"][1]) if result else None


class InfluxDB1(Service):
    """InfluxDB 1.6 with a database `load`, over HTTP and, at `udp_port`, UDP."""

    program = "influxd"
    package = "influxdb"
    ready_path = "/ping"

    def __init__(self) -> None:
        super().__init__()
        self.udp_port = free_port()
        (self.folder / "config").write_text(
            f'bind-address = "127.0.0.1:{free_port()}"\n'
            "reporting-disabled = true\n"
            f'[meta]\ndir = "{self.folder}/meta"\n'
            f'[data]\ndir = "{self.folder}/data"\nwal-dir = "{self.folder}/wal"\n'
            f'[http]\nbind-address = "127.0.0.1:{self.port}"\nlog-enabled = false\n'
            f'[[udp]]\nenabled = true\nbind-address = "127.0.0.1:{self.udp_port}"\ndatabase = "load"\nbatch-timeout = "50ms"\n'
        )

    def arguments(self) -> list[str]:
        return ["run", "-config", "config"]

    def start(self) -> None:
        super().start()
        fetch(f"{self.url}/query?q=CREATE+DATABASE+load", b"")

    def query(self, influxql: str) -> list[dict[str, Any]]:
        """Each row of the first series as an object; [] when there is none."""
        given = urllib.parse.urlencode({"db": "load", "q": influxql, "epoch": "ms"})
        series = json.loads(fetch(f"{self.url}/query?{given}"))["results"][0].get("series", [])
        return [dict(zip(one["columns"], row, strict=True)) for one in series for row in one["values"]]


class VictoriaMetrics(Service):
    """Takes InfluxDB's line protocol at /api/v2/write, as InfluxDB 2 does, and says how many lines it could not read."""

    program = "victoria-metrics"
    package = "victoria-metrics"
    ready_path = "/health"

    def arguments(self) -> list[str]:
        return ["-storageDataPath=data", f"-httpListenAddr=127.0.0.1:{self.port}", "-retentionPeriod=100y", "-loggerLevel=WARN"]

    def export(self, match: str) -> list[dict[str, Any]]:
        """Every series that matches, each with `metric`, `values` and `timestamps` (ms)."""
        fetch(f"{self.url}/internal/force_flush")
        given = urllib.parse.urlencode({"match[]": match})
        return [json.loads(one) for one in fetch(f"{self.url}/api/v1/export?{given}").splitlines()]

    def own(self, name: str) -> float:
        """The sum of a counter of its own."""
        lines = fetch(f"{self.url}/metrics").decode().splitlines()
        return sum(float(one.rpartition(" ")[2]) for one in lines if one.startswith(name))


class Pushgateway(Service):
    program = "prometheus-pushgateway"
    package = "prometheus-pushgateway"
    ready_path = "/-/ready"

    def arguments(self) -> list[str]:
        return [f"--web.listen-address=127.0.0.1:{self.port}"]


class Answering:
    """An HTTP server that answers each request with the next status, then 204; keeps heads and bodies."""

    def __init__(self, *statuses: tuple[int, str]) -> None:
        answers = list(statuses)
        self.requests: list[tuple[dict[str, str], bytes]] = []
        received = self.requests

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received.append(({key.lower(): value for key, value in self.headers.items()}, body))
                status, text = answers.pop(0) if answers else (204, "")
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            do_PUT = do_POST

            def log_message(self, *_: Any) -> None: ...

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Answering:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
