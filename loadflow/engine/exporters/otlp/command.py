"""The commands that start and stop the OpenTelemetry exporter in the current session."""

from __future__ import annotations

import os
from dataclasses import replace

from loadflow.engine.exporters.shared.arguments import MAX_SERIES, filled, readable, url_of
from loadflow.engine.exporters.shared.exporter import start_in, stop_in
from loadflow.engine.plan.traces import TraceRule
from loadflow.engine.script.command import QUICK, SERVER, Command
from loadflow.engine.session.session import current_session
from loadflow.errors import CommandError, Mistake

__all__ = ["START", "STOP", "start_opentelemetry_exporter", "stop_opentelemetry_exporter"]

# The exporter is imported when one starts, and its library with it: most scripts have none.


def start_opentelemetry_exporter(
    endpoint: str | None = None,
    service_name: str = "loaddensity",
    export_interval_ms: int = 5_000,
    *,
    protocol: str = "grpc",
    headers: dict[str, str] | None = None,
    resource: dict[str, str] | None = None,
    ca_file: str | None = None,
    cert_file: str | None = None,
    key_file: str | None = None,
    compression: bool = False,
    timeout: float = 10.0,
    max_series: int = MAX_SERIES,
    flush_s: float = 10.0,
    trace_sample_rate: float = 0.0,
    traces_per_s: float = 100.0,
    traces_endpoint: str | None = None,
) -> bool:
    """Export the counts of this script's loads as OTLP metrics, by `protocol` "grpc" or "http"; returns true.

    `endpoint`: a URL, https:// for TLS; None: what OTEL_EXPORTER_OTLP_ENDPOINT says, else this machine's default port. `headers` go
    with each request and may hold ${env.…}, ${var.…} and ${secret.…}; so may `endpoint`. `resource`: further resource attributes.
    `ca_file`: whom to trust; `cert_file` and `key_file`: who we are; all PEM. `timeout`: seconds for one export, its retries included.
    `flush_s`: how long stopping may take.

    `trace_sample_rate`: the share of hits, 0 to 1, that carry a `traceparent` to the target and are exported as spans, of each load
    that starts from now on, never more than `traces_per_s`. `traces_endpoint`: where spans go, if not to `endpoint`.

    >>> start_opentelemetry_exporter("http://127.0.0.1:4317")  # doctest: +SKIP
    True
    """
    given = dict(locals())
    from loadflow.engine.exporters.otlp.opentelemetry import OpenTelemetryExporter
    from loadflow.engine.exporters.otlp.otlp import Otlp, resource_of
    from loadflow.engine.exporters.otlp.spans import Spans

    session = current_session()
    endpoint, headers, traces_endpoint = (filled(name, given[name], session) for name in ("endpoint", "headers", "traces_endpoint"))
    endpoint = url_of("endpoint", endpoint, "http://127.0.0.1:4317", session)
    if not 0 <= trace_sample_rate <= 1:
        raise CommandError([Mistake("trace_sample_rate", f"{trace_sample_rate} is not a share", "give a number from 0 to 1")])
    traces = TraceRule(trace_sample_rate, traces_per_s) if trace_sample_rate else None
    traces_url = _traces_url(traces, url_of("traces_endpoint", traces_endpoint, "http://127.0.0.1:4317", session), endpoint, protocol)
    sent_along = sorted(name for name in os.environ if name.startswith("OTEL_EXPORTER_OTLP") and name.endswith("HEADERS"))
    if sent_along and session.guard.env is not None:
        message = f"the server's environment has {sent_along[0]}, which would go along"
        raise CommandError([Mistake("headers", message, "who runs the server has to unset it: scripts may not read it here")])
    if protocol not in ("grpc", "http"):
        raise CommandError([Mistake("protocol", f"{protocol!r} is not a protocol", 'use "grpc" or "http"')])
    if (cert_file is None) != (key_file is None):
        raise CommandError([Mistake("cert_file" if cert_file is None else "key_file", "is missing", "the two go together")])

    readable(ca_file=ca_file, cert_file=cert_file, key_file=key_file)

    def make() -> OpenTelemetryExporter:
        otlp = Otlp(endpoint, protocol, headers or {}, timeout, compression, ca_file, cert_file, key_file, session.target.export_lists())
        of_us = resource_of(service_name, resource or {})
        return OpenTelemetryExporter(
            otlp.metric_exporter(),
            of_us,
            interval_s=export_interval_ms / 1_000,
            max_series=max_series,
            flush_s=flush_s,
            traces=traces,
            spans=Spans(replace(otlp, endpoint=traces_url).span_exporter(), of_us) if traces is not None else None,
        )

    start_in(session, OpenTelemetryExporter, {**given, "endpoint": endpoint, "headers": headers, "traces_endpoint": traces_url}, make)
    return True


def stop_opentelemetry_exporter() -> dict[str, object]:
    """Export once more and stop; returns how many exports there were and failed. Does no harm where nothing was started."""
    return stop_in(current_session(), "OpenTelemetry")


def _traces_url(traces: TraceRule | None, own: str | None, endpoint: str | None, protocol: str) -> str | None:
    """Where spans go; None: the environment decides. Raises CommandError if neither gives an endpoint."""
    from loadflow.engine.exporters.otlp.otlp import traces_endpoint_of

    if traces is None and own is not None:
        raise CommandError(
            [Mistake("traces_endpoint", "is of no use where no hit is traced", "set trace_sample_rate too, or leave it out")]
        )
    if traces is None or own is not None:
        return own
    if endpoint is None or protocol == "grpc":
        return endpoint
    found = traces_endpoint_of(endpoint)
    if found is None:
        raise CommandError(
            [Mistake("traces_endpoint", "is missing, and the path of the endpoint does not say it", "give the URL for spans")]
        )
    return found


START = Command(
    "LD_start_opentelemetry_exporter",
    start_opentelemetry_exporter,
    "Export the counts of later loads as OTLP metrics.",
    SERVER,
    model="loadflow.engine.exporters.otlp.model:StartOpentelemetryExporter",
    dry=True,
    secrets=frozenset({"headers"}),
    group="exporters",
    returns="true",
    example={"endpoint": "http://127.0.0.1:4317"},
)
STOP = Command(
    "LD_stop_opentelemetry_exporter",
    stop_opentelemetry_exporter,
    "Export OTLP metrics once more, and stop.",
    QUICK,
    dry=True,
    group="exporters",
    returns="object: status, exports, failed ones",
)
