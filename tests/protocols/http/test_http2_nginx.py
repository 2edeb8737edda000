"""HTTP/2 with nginx, over TLS and without: what it wrote into its log and onto its disk is the truth."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from loadflow.engine.generator.native.fit import is_built
from loadflow.engine.records.outcome import Outcome
from tests.load.harness import get, load
from tests.services import need

CONFIG = """
worker_processes 1; pid {folder}/pid; error_log {folder}/error.log; daemon off; master_process off;
events {{ worker_connections 500; }}
http {{
  log_format seen '$server_protocol $request_method $request_uri $status $http_host $connection';
  access_log {folder}/access.log seen;
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3; uwsgi_temp_path {folder}/4;
  scgi_temp_path {folder}/5; client_max_body_size 20m; keepalive_requests 10; gzip on; gzip_types application/json; gzip_min_length 1;
  server {{
    listen 127.0.0.1:{plain} http2;
    listen 127.0.0.1:{secure} ssl http2;
    listen 127.0.0.1:{old} ssl;
    ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
    location /up/ {{ dav_methods PUT; root {folder}; }}
    location /small {{ client_max_body_size 1k; return 200; }}
    location /down {{ alias {folder}/down; }}
    location / {{ default_type application/json; return 200 '{{"protocol": "$server_protocol"}}'; }}
  }}
}}
"""
DOWN = bytes(range(256)) * 12_000  # 3 MB


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass(frozen=True)
class Nginx:
    folder: Path
    plain: str
    secure: str
    old: str  # TLS, and HTTP/1.1 only

    def seen(self) -> list[list[str]]:
        """The words of each line of its log so far."""
        return [line.split() for line in (self.folder / "access.log").read_text().splitlines()]


@pytest.fixture(scope="module")
def nginx() -> Iterator[Nginx]:
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    need(program, "nginx is not installed (Debian: apt-get install nginx-light)")
    need(is_built(), "the native core is not built")
    folder = Path(tempfile.mkdtemp(prefix="loadflow-nginx-"))
    folder.chmod(0o755)
    for name in ("up", "1"):
        (folder / name).mkdir()
    (folder / "down").write_bytes(DOWN)
    certificate = trustme.CA().issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    ports = {name: free_port() for name in ("plain", "secure", "old")}
    (folder / "conf").write_text(CONFIG.format(folder=folder, **ports))
    process = subprocess.Popen([str(program), "-c", str(folder / "conf"), "-e", str(folder / "error.log")])
    try:
        while process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", ports["old"]), 10).close()
                break
            except ConnectionRefusedError:
                continue
        assert process.poll() is None, (folder / "error.log").read_text()
        urls = {name: f"{'http' if name == 'plain' else 'https'}://127.0.0.1:{port}" for name, port in ports.items()}
        yield Nginx(folder, **urls)
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("way", ["secure", pytest.param("plain", marks=pytest.mark.long)])
def test_nginx_gets_http_2_and_whole_bodies(way: str, nginx: Nginx, tmp_path: Path) -> None:
    host = getattr(nginx, way)
    text = "0123456789abcdef" * 125_000  # 2 MB
    whole: dict[str, Any] = {"verify": False, "timeout": 50}
    steps = [
        get("/say", name="say", assertions=[{"type": "json_path", "path": "protocol", "value": "HTTP/2.0"}], **whole),
        {"method": "put", "request_url": f"/up/{way}", "name": "up", "data": text, **whole},
        get("/down", name="down", **whole),
        {"method": "post", "request_url": "/small", "data": text, "name": "refused early", **whole},
        {"method": "head", "request_url": "/down", "name": "head", **whole},
        get("/down", name="again", headers={"Range": "bytes=0-9"}, assertions=[{"type": "status_code", "value": 206}], **whole),
    ]
    before = len(nginx.seen())
    done = load(tmp_path, steps, user="http2", host=host)
    assert {hit.name: (hit.outcome, hit.status) for hit in done.hits} == {
        "say": (Outcome.OK, 200),
        "up": (Outcome.OK, 201),
        "down": (Outcome.OK, 200),
        "refused early": (Outcome.STATUS, 413),
        "head": (Outcome.OK, 200),
        "again": (Outcome.OK, 206),
    }
    assert (nginx.folder / "up" / way).read_text() == text
    seen = nginx.seen()[before:]
    assert [line[:4] for line in seen[:3]] == [
        ["HTTP/2.0", *rest] for rest in (["GET", "/say", "200"], ["PUT", f"/up/{way}", "201"], ["GET", "/down", "200"])
    ]
    assert {(line[0], line[4]) for line in seen} == {("HTTP/2.0", host.partition("://")[2])}
    received = {hit.name: int(row["received_bytes"]) for row, hit in zip(done.rows, done.hits, strict=True)}
    assert len(DOWN) < received["down"] < len(DOWN) * 1.02
    assert received["head"] < 1_000


def test_a_connection_that_nginx_ends_after_ten_requests_is_followed_by_another(nginx: Nginx, tmp_path: Path) -> None:
    """keepalive_requests: a GOAWAY with the tenth request; no hit fails, and none is sent twice."""
    before = len(nginx.seen())
    done = load(tmp_path, [get("/say", verify=False)], user="http2", host=nginx.secure, user_count=3, iterations=95)
    assert Counter(hit.outcome for hit in done.hits) == {Outcome.OK: 285}
    seen = nginx.seen()[before:]
    assert len(seen) == 285
    assert len({line[5] for line in seen}) == 30


def test_nginx_without_http_2_is_a_failure_that_says_so(nginx: Nginx, tmp_path: Path) -> None:
    before = len(nginx.seen())
    done = load(tmp_path, [get("/say", verify=False)], user="http2", host=nginx.old)
    assert [(hit.outcome, hit.error) for hit in done.hits] == [
        (Outcome.TLS, "the server did not choose HTTP/2 (h2 by ALPN); leave http_version out for HTTP/1.1")
    ]
    assert len(nginx.seen()) == before
