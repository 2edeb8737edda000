"""How OTLP is sent: gRPC or HTTP, with TLS and headers, and the resource attributes of this process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from loadflow.engine.base.regular_file import read_regular
from loadflow.engine.exporters.shared import way
from loadflow.engine.plan.target import HostLists

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import SpanExporter
    from requests import Session

__all__ = ["Otlp", "resource_of", "traces_endpoint_of"]

# of one request: a receiver takes at most 4 MB by default, and a point has up to 160 buckets
POINTS = 2_000
METRICS_PATH = "/v1/metrics"
TRACES_PATH = "/v1/traces"
# a channel that lost its server waits up to 120 s before it tries again, which is longer than many loads
CHANNEL = (("grpc.max_reconnect_backoff_ms", "2000"),)


@dataclass(frozen=True, slots=True)
class Otlp:
    """`endpoint` None: what the environment says (OTEL_EXPORTER_OTLP_ENDPOINT and its kin), or this machine's default port.

    Files are PEM; None: the environment's, else the system's certificates.
    """

    endpoint: str | None
    protocol: str  # grpc or http
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 10.0
    compression: bool = False
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    lists: HostLists = ()  # which hosts `endpoint` may be of

    def metric_exporter(self) -> MetricExporter:
        if self.protocol == "grpc":
            from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as Grpc

            return Grpc(max_export_batch_size=POINTS, **self._grpc())
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as Http

        return Http(endpoint=_with_path(self.endpoint, METRICS_PATH), max_export_batch_size=POINTS, **self._http())

    def span_exporter(self) -> SpanExporter:
        if self.protocol == "grpc":
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc

            return Grpc(**self._grpc())
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Http

        return Http(endpoint=_with_path(self.endpoint, TRACES_PATH), **self._http())

    def _grpc(self) -> dict[str, Any]:
        import grpc

        credentials = None
        if self.ca_file or self.cert_file or self.key_file:
            parts = (read_regular(file) if file else None for file in (self.ca_file, self.key_file, self.cert_file))
            credentials = grpc.ssl_channel_credentials(*parts)
        target: dict[str, object] = {"endpoint": self.endpoint}
        options: tuple[tuple[str, object], ...] = CHANNEL
        if self.endpoint is not None and self.lists:
            addresses, more = way.grpc_options(self.endpoint, self.lists)
            target, options = {"endpoint": addresses, "insecure": urlsplit(self.endpoint).scheme == "http"}, (*CHANNEL, *more)
        return {
            **target,
            "credentials": credentials,
            "headers": {name.lower(): value for name, value in self.headers.items()},  # HTTP/2 has no capitals
            "timeout": self.timeout_s,
            "compression": grpc.Compression.Gzip if self.compression else None,
            "channel_options": options,
        }

    def _http(self) -> dict[str, Any]:
        from opentelemetry.exporter.otlp.proto.http import Compression

        return {
            "certificate_file": self.ca_file,
            "client_certificate_file": self.cert_file,
            "client_key_file": self.key_file,
            "session": _session(self.ca_file, self.lists if self.endpoint is not None else ()),
            "headers": dict(self.headers),
            "timeout": self.timeout_s,
            "compression": Compression.Gzip if self.compression else None,
        }


def traces_endpoint_of(endpoint: str) -> str | None:
    """Where the receiver of metrics at `endpoint` takes spans over HTTP; None where its path does not say.

    >>> [traces_endpoint_of(f"http://h:4318{path}") for path in ("", "/", "/otlp/v1/metrics", "/mine")]
    ['http://h:4318', 'http://h:4318/', 'http://h:4318/otlp/v1/traces', None]
    """
    if urlsplit(endpoint).path in ("", "/"):
        return endpoint
    return endpoint.removesuffix(METRICS_PATH) + TRACES_PATH if endpoint.endswith(METRICS_PATH) else None


def _with_path(endpoint: str | None, path: str) -> str | None:
    return endpoint.rstrip("/") + path if endpoint is not None and urlsplit(endpoint).path in ("", "/") else endpoint


def _session(ca_file: str | None, lists: HostLists) -> Session | None:
    """None: the exporter's own will do. requests lets REQUESTS_CA_BUNDLE win over a session's own choice:
    https://github.com/psf/requests/issues/3829."""
    if ca_file is None and not lists:
        return None
    import requests

    class Trusting(requests.Session):
        def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
            return super().merge_environment_settings(url, proxies, stream, ca_file or verify, cert)

    session = Trusting()
    if lists:
        for scheme in ("http://", "https://"):
            session.mount(scheme, way.adapter(lists))
    return session


def resource_of(service_name: str, attributes: Mapping[str, str]) -> Resource:
    """With what OTEL_RESOURCE_ATTRIBUTES says; `attributes` win over it."""
    from opentelemetry.sdk.resources import Resource

    return Resource.create({"service.name": service_name, **attributes})
