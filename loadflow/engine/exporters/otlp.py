"""How OTLP travels: gRPC or HTTP, with TLS and headers, and what is told of ourselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.resources import Resource
    from requests import Session

__all__ = ["Otlp", "resource_of"]

# of one request: a receiver takes at most 4 MB by default, and a point has up to 160 buckets
POINTS = 2_000
METRICS_PATH = "/v1/metrics"
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

    def exporter(self) -> MetricExporter:
        return self._grpc() if self.protocol == "grpc" else self._http()

    def _grpc(self) -> MetricExporter:
        import grpc
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter

        credentials = None
        if self.ca_file or self.cert_file or self.key_file:
            parts = (Path(file).read_bytes() if file else None for file in (self.ca_file, self.key_file, self.cert_file))
            credentials = grpc.ssl_channel_credentials(*parts)
        return OTLPMetricExporter(
            endpoint=self.endpoint,
            credentials=credentials,
            headers={name.lower(): value for name, value in self.headers.items()},  # HTTP/2 has no capitals
            timeout=self.timeout_s,
            compression=grpc.Compression.Gzip if self.compression else None,
            max_export_batch_size=POINTS,
            channel_options=CHANNEL,
        )

    def _http(self) -> MetricExporter:
        from opentelemetry.exporter.otlp.proto.http import Compression
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

        endpoint = self.endpoint
        if endpoint is not None and urlsplit(endpoint).path in ("", "/"):
            endpoint = endpoint.rstrip("/") + METRICS_PATH
        return OTLPMetricExporter(
            endpoint=endpoint,
            certificate_file=self.ca_file,
            client_certificate_file=self.cert_file,
            client_key_file=self.key_file,
            session=_trusting(self.ca_file) if self.ca_file else None,
            headers=dict(self.headers),
            timeout=self.timeout_s,
            compression=Compression.Gzip if self.compression else None,
            max_export_batch_size=POINTS,
        )


def _trusting(ca_file: str) -> Session:
    """requests lets REQUESTS_CA_BUNDLE win over a session's own choice: https://github.com/psf/requests/issues/3829."""
    import requests

    class Trusting(requests.Session):
        def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
            return super().merge_environment_settings(url, proxies, stream, ca_file, cert)

    return Trusting()


def resource_of(service_name: str, attributes: Mapping[str, str]) -> Resource:
    """With what OTEL_RESOURCE_ATTRIBUTES says; `attributes` win over it."""
    from opentelemetry.sdk.resources import Resource

    return Resource.create({"service.name": service_name, **attributes})
