"""Real receivers of OTLP metrics and spans, over gRPC and HTTP, made of the protocol's own definitions; they keep what they decoded."""

from __future__ import annotations

import gzip
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

import grpc
import trustme
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as service
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as stubs
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace_service
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as trace_stubs

__all__ = ["GrpcPeer", "HttpPeer", "Received"]


class Received:
    """Requests in order, with their headers."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.spans: list[Any] = []
        self.span_resources: list[dict[str, str]] = []
        self._lock = threading.Lock()

    def take(self, request: Any, headers: dict[str, str]) -> None:
        with self._lock:
            self.requests.append(request)
            self.headers.append(headers)

    def take_spans(self, request: Any) -> None:
        with self._lock:
            for one in request.resource_spans:
                self.span_resources.append({entry.key: entry.value.string_value for entry in one.resource.attributes})
                self.spans.extend(span for scope in one.scope_spans for span in scope.spans)

    def resource(self) -> dict[str, str]:
        (one,) = self.requests[-1].resource_metrics
        return {entry.key: entry.value.string_value for entry in one.resource.attributes}

    def metrics(self) -> dict[str, Any]:
        """By name, as the last request has them."""
        (resource,) = self.requests[-1].resource_metrics
        (scope,) = resource.scope_metrics
        return {metric.name: metric for metric in scope.metrics}

    def points(self, name: str) -> list[tuple[dict[str, str], Any]]:
        """Attributes and point of each series of a metric, as the last request has them."""
        metric = self.metrics()[name]
        data = getattr(metric, metric.WhichOneof("data"))
        return [({entry.key: entry.value.string_value for entry in point.attributes}, point) for point in data.data_points]

    def requests_counted(self) -> int:
        """The sum of loaddensity.requests in the last request; 0 before the first."""
        return sum(point.as_int for _, point in self.points("loaddensity.requests")) if self.requests else 0


class GrpcPeer(Received):
    """May be started again on its port. `authority`: speak TLS with its certificate for 127.0.0.1."""

    def __init__(self, authority: trustme.CA | None = None, *, ask_client: bool = False) -> None:
        super().__init__()
        self._authority = authority
        self._ask_client = ask_client
        self.port = 0
        self._server: Any = None

    @property
    def url(self) -> str:
        return f"{'https' if self._authority else 'http'}://127.0.0.1:{self.port}"

    def start(self) -> None:
        peer = self

        class Service(stubs.MetricsServiceServicer):
            def Export(self, request: Any, context: Any) -> Any:
                peer.take(request, {entry.key: entry.value for entry in context.invocation_metadata()})
                return service.ExportMetricsServiceResponse()

        class Traces(trace_stubs.TraceServiceServicer):
            def Export(self, request: Any, context: Any) -> Any:
                peer.take_spans(request)
                return trace_service.ExportTraceServiceResponse()

        self._server = grpc.server(ThreadPoolExecutor(2))
        stubs.add_MetricsServiceServicer_to_server(Service(), self._server)
        trace_stubs.add_TraceServiceServicer_to_server(Traces(), self._server)
        address = f"127.0.0.1:{self.port}"
        if self._authority is None:
            self.port = self._server.add_insecure_port(address)
        else:
            own = self._authority.issue_cert("127.0.0.1")
            chain = b"".join(one.bytes() for one in own.cert_chain_pems)
            trusted = self._authority.cert_pem.bytes() if self._ask_client else None
            credentials = grpc.ssl_server_credentials([(own.private_key_pem.bytes(), chain)], trusted, self._ask_client)
            self.port = self._server.add_secure_port(address, credentials)
        self._server.start()

    def stop(self) -> None:
        self._server.stop(None).wait()

    def __enter__(self) -> GrpcPeer:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


class HttpPeer(Received):
    def __init__(self, authority: trustme.CA | None = None) -> None:
        super().__init__()
        peer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                fields = {key.lower(): value for key, value in self.headers.items()}
                if self.path == "/v1/metrics":
                    peer.take(service.ExportMetricsServiceRequest.FromString(body), fields)
                if self.path == "/v1/traces":
                    peer.take_spans(trace_service.ExportTraceServiceRequest.FromString(body))
                self.send_response(200 if self.path in ("/v1/metrics", "/v1/traces") else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if authority is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("127.0.0.1").configure_cert(context)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if authority else 'http'}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> HttpPeer:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
