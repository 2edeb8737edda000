"""What the API server asks a kubelet for: the log of a container, over TLS. `kubectl logs` and `helm test --logs` come by here."""

from __future__ import annotations

import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from urllib.parse import parse_qs, urlsplit

import trustme

__all__ = ["serve_logs"]


class Logs(BaseHTTPRequestHandler):
    """GET /containerLogs/NAMESPACE/POD/CONTAINER, with `tailLines`, `timestamps` and `follow`."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        parts, query = url.path.strip("/").split("/"), parse_qs(url.query)
        if len(parts) != 4 or parts[0] != "containerLogs":
            self.send_error(404, "this node has logs only")
            return
        command = ["podman", "logs"]
        if "tailLines" in query:
            command += ["--tail", query["tailLines"][0]]
        command += [f"--{flag}" for flag in ("timestamps", "follow") if query.get(flag) == ["true"]]
        command.append(f"{parts[2]}-{parts[3]}")
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            assert process.stdout is not None
            try:
                while part := process.stdout.read1(65536):  # type: ignore[attr-defined]
                    self.wfile.write(part)
                    self.wfile.flush()
            except OSError:  # who asked has gone
                process.terminate()

    def log_message(self, *_: object) -> None: ...


def serve_logs(folder: Path, host: str) -> int:
    """Starts it with a certificate that nobody checks, as a kubelet's; returns its port."""
    certificate = folder / "kubelet.pem"
    trustme.CA().issue_cert(host).private_key_and_cert_chain_pem.write_to_path(certificate)
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = ThreadingHTTPServer((host, 0), Logs)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return int(server.server_address[1])
