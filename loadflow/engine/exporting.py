"""The commands that start and stop exporters in the current session."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from loadflow.engine.exporters.arguments import filled, readable, refuse_host, url_of
from loadflow.engine.exporters.exporter import start_in, stop_in
from loadflow.engine.plan.traces import TraceRule
from loadflow.engine.session import current_session
from loadflow.errors import CommandError, Mistake

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from loadflow.engine.exporters.influxdb import Writer

__all__ = [
    "start_influxdb_sink",
    "start_opentelemetry_exporter",
    "start_prometheus_exporter",
    "stop_influxdb_sink",
    "stop_opentelemetry_exporter",
    "stop_prometheus_exporter",
]

# The exporters' modules are imported when one starts, and their libraries with them: most scripts have none.

MAX_SERIES = 500
INFLUX_EXAMPLE = "http://127.0.0.1:8086/write?db=load, or http://127.0.0.1:8086 with a bucket"
PUSH_TIMEOUT_S = 5.0  # for one push


def start_prometheus_exporter(
    port: int = 9646,
    addr: str = "127.0.0.1",
    *,
    buckets_ms: list[float] | None = None,
    max_series: int = MAX_SERIES,
    last_scrape_s: float = 15.0,
    push_gateway: str | None = None,
    remote_write: str | None = None,
    push_job: str = "loadflow",
    push_interval_s: float = 5.0,
    push_headers: dict[str, str] | None = None,
    ca_file: str | None = None,
    flush_s: float = 10.0,
) -> int:
    """Serve the counts of this script's loads to Prometheus; returns the port, which is a free one when 0 is asked for.

    `buckets_ms`: upper bounds of the latency histogram, ascending; None: LoadDensity's. `max_series`: different loads and names that
    are told apart; hits of further ones count under the name "(other)". When it is stopped and a scraper's next visit is due within
    `last_scrape_s`, it waits for that, so that the last second is told too. Raises RunError when the port is taken.

    Where nobody can scrape: `push_gateway` is the URL of a Pushgateway, `remote_write` one that takes remote writes, such as
    http://prometheus:9090/api/v1/write; both are sent to every `push_interval_s` and at the end, as `push_job`. `push_headers` go with
    remote writes, `ca_file` says whom these trust. URLs and headers may hold ${env.…}, ${var.…} and ${secret.…}. `flush_s`: how long
    the last push may take.

    >>> start_prometheus_exporter(port=0)  # doctest: +SKIP
    41873
    """
    given = dict(locals())
    from loadflow.engine.exporters import pushing
    from loadflow.engine.exporters.buckets import LATENCY_BOUNDS_MS
    from loadflow.engine.exporters.prometheus import PrometheusExporter

    bounds = LATENCY_BOUNDS_MS if buckets_ms is None else tuple(float(bound) for bound in buckets_ms)
    if list(bounds) != sorted(set(bounds)):
        raise CommandError([Mistake("buckets_ms", "must be ascending, each once", "write them from the smallest to the largest")])
    session = current_session()
    known = {name: filled(name, given[name], session) for name in ("push_gateway", "remote_write", "push_headers")}
    pushes: dict[str, Callable[[CollectorRegistry], Callable[[], None]]] = {}
    if gateway := url_of("push_gateway", known["push_gateway"], "http://127.0.0.1:9091", session):
        pushes["push_gateway"] = lambda registry: pushing.gateway_push(gateway, push_job, registry, PUSH_TIMEOUT_S)
    if remote := url_of("remote_write", known["remote_write"], "http://127.0.0.1:9090/api/v1/write", session):
        headers = known["push_headers"] or {}
        pushes["remote_write"] = lambda registry: pushing.remote_write(
            remote, push_job, registry, PUSH_TIMEOUT_S, headers=headers, ca_file=ca_file
        )

    def make() -> PrometheusExporter:
        readable(ca_file=ca_file)
        return PrometheusExporter(
            port,
            addr,
            bounds_ms=bounds,
            max_series=max_series,
            last_scrape_s=last_scrape_s,
            pushes=pushes,
            push_interval_s=push_interval_s,
            flush_s=flush_s,
        )

    return start_in(session, PrometheusExporter, {**given, **known, "buckets_ms": bounds}, make).port


def stop_prometheus_exporter() -> dict[str, Any]:
    """Free the port; does no harm where nothing was started."""
    return stop_in(current_session(), "Prometheus")


def start_influxdb_sink(
    transport: str = "udp",
    host: str = "127.0.0.1",
    port: int = 8089,
    url: str | None = None,
    token: str | None = None,
    measurement: str = "loaddensity_request",
    timeout: float = 2.0,
    *,
    org: str | None = None,
    bucket: str | None = None,
    ca_file: str | None = None,
    tags: dict[str, str] | None = None,
    max_series: int = MAX_SERIES,
    queue_points: int = 100_000,
    batch_points: int = 5_000,
    flush_s: float = 10.0,
) -> None:
    """Write a point for each name and second of this script's loads to InfluxDB.

    `transport` "udp" sends lines to `host` and `port`; "http" posts them to `url` as it is (InfluxDB 1.x), or, with `bucket` (and
    `org`), writes them by influxdb-client to the server at `url` (InfluxDB 2 and 3). `timeout`: seconds for one answer. A server that is
    away is tried again, while up to `queue_points` wait; beyond that the oldest are dropped, and counted. `flush_s`: how long
    stopping may take. `url`, `token` and `org` may hold ${env.…}, ${var.…} and ${secret.…}. `ca_file`: whom to trust, PEM. `tags`: for
    every point.

    >>> start_influxdb_sink("http", url="http://127.0.0.1:8086/write?db=load")  # doctest: +SKIP
    """
    given = dict(locals())
    from loadflow.engine.exporters.influxdb import InfluxdbSink

    session = current_session()
    url, token, org = (filled(name, given[name], session) for name in ("url", "token", "org"))
    arguments = {**given, "url": url, "token": token, "org": org}
    if transport == "udp":
        refuse_host("host", host, session)
    else:
        url = url_of("url", url, INFLUX_EXAMPLE, session)

    def make() -> InfluxdbSink:
        readable(ca_file=ca_file)
        return InfluxdbSink(
            _influx_writer(transport, host, port, url, token, timeout, org, bucket, ca_file),
            measurement=_measurement(measurement),
            tags=tags or {},
            max_series=max_series,
            queue_points=queue_points,
            batch_points=batch_points,
            flush_s=flush_s,
        )

    start_in(session, InfluxdbSink, arguments, make)


def stop_influxdb_sink() -> dict[str, Any]:
    """Write what is waiting and stop; returns how many points were written and dropped. Does no harm where nothing was started."""
    return stop_in(current_session(), "InfluxDB")


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
    from loadflow.engine.exporters.opentelemetry import OpenTelemetryExporter
    from loadflow.engine.exporters.otlp import Otlp, resource_of
    from loadflow.engine.exporters.otlp_spans import Spans

    session = current_session()
    endpoint, headers, traces_endpoint = (filled(name, given[name], session) for name in ("endpoint", "headers", "traces_endpoint"))
    endpoint = url_of("endpoint", endpoint, "http://127.0.0.1:4317", session)
    if not 0 <= trace_sample_rate <= 1:
        raise CommandError([Mistake("trace_sample_rate", f"{trace_sample_rate} is no share", "give a number from 0 to 1")])
    traces = TraceRule(trace_sample_rate, traces_per_s) if trace_sample_rate else None
    traces_url = _traces_url(traces, url_of("traces_endpoint", traces_endpoint, "http://127.0.0.1:4317", session), endpoint, protocol)
    sent_along = sorted(name for name in os.environ if name.startswith("OTEL_EXPORTER_OTLP") and name.endswith("HEADERS"))
    if sent_along and session.guard.env is not None:
        message = f"the server's environment has {sent_along[0]}, which would go along"
        raise CommandError([Mistake("headers", message, "who runs the server has to unset it: scripts may not read it here")])
    if protocol not in ("grpc", "http"):
        raise CommandError([Mistake("protocol", f"{protocol!r} is no protocol", 'use "grpc" or "http"')])
    if (cert_file is None) != (key_file is None):
        raise CommandError([Mistake("cert_file" if cert_file is None else "key_file", "is missing", "the two go together")])

    def make() -> OpenTelemetryExporter:
        readable(ca_file=ca_file, cert_file=cert_file, key_file=key_file)
        otlp = Otlp(endpoint, protocol, headers or {}, timeout, compression, ca_file, cert_file, key_file)
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


def stop_opentelemetry_exporter() -> dict[str, Any]:
    """Export once more and stop; returns how many exports there were and failed. Does no harm where nothing was started."""
    return stop_in(current_session(), "OpenTelemetry")


def _traces_url(traces: TraceRule | None, own: str | None, endpoint: str | None, protocol: str) -> str | None:
    """Where spans go; None: the environment says it. Raises CommandError where nobody does."""
    from loadflow.engine.exporters.otlp import traces_endpoint_of

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


def _influx_writer(
    transport: str,
    host: str,
    port: int,
    url: str | None,
    token: str | None,
    timeout_s: float,
    org: str | None,
    bucket: str | None,
    ca_file: str | None,
) -> Writer:
    """Raises CommandError for what does not go together."""
    from loadflow.engine.exporters.influx_writers import BucketWriter, UdpWriter, UrlWriter

    if transport == "udp":
        extra = [name for name, value in (("url", url), ("token", token), ("org", org), ("bucket", bucket)) if value is not None]
        if extra:
            raise CommandError([Mistake(extra[0], "is of no use over UDP", 'use "transport": "http", or leave it out')])
        try:
            return UdpWriter(host, port)
        except OSError as error:
            raise CommandError([Mistake("host", f"{host!r} can't be sent to: {error.strerror}", "give a name or an address")]) from None
    if transport != "http":
        raise CommandError([Mistake("transport", f"{transport!r} is no transport", 'use "udp" or "http"')])
    if url is None:
        raise CommandError([Mistake("url", "is missing", f"such as {INFLUX_EXAMPLE}")])
    parts = urlsplit(url)
    if bucket is None:
        if parts.path in ("", "/"):
            raise CommandError([Mistake("url", "names no path to write to", "add /write?db=NAME for InfluxDB 1, or give a bucket")])
        return UrlWriter(url, token, timeout_s, ca_file)
    if parts.query or parts.path.rstrip("/").endswith("/write"):
        raise CommandError([Mistake("url", "is the server's own address where a bucket is given", "leave /api/v2/write and the query out")])
    return BucketWriter(url, token, org or "", bucket, timeout_s, ca_file)


def _measurement(name: str) -> str:
    """Raises CommandError for a name that line protocol reads as something else."""
    if not name or name.startswith("#") or "\\" in name or not name.isprintable():
        hint = "use a word such as loaddensity_request; it can't start with # or hold a backslash"
        raise CommandError([Mistake("measurement", f"{name!r} can't be written", hint)])
    return name
