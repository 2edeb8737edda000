"""What the commands that start exporters take."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from loadflow.engine.script.part import Choice, Flag, Int, Name, Number, Part, Positive, Seconds

__all__ = ["StartInfluxdbSink", "StartOpentelemetryExporter", "StartPrometheusExporter"]

Port = Annotated[Int, Field(ge=0, le=65535)]
SeriesCap = Annotated[Int, Field(ge=1, le=100_000)]


class StartPrometheusExporter(Part):
    """The arguments of LD_start_prometheus_exporter: where to listen, and what for."""

    noun: ClassVar[str] = "LD_start_prometheus_exporter"

    port: Port = 9646
    addr: Name = "127.0.0.1"
    buckets_ms: Annotated[list[Positive], Field(min_length=1, max_length=200)] | None = None
    max_series: SeriesCap = 500
    last_scrape_s: Seconds = 15.0
    push_gateway: Name | None = None
    remote_write: Name | None = None
    push_job: Name = "loadflow"
    push_interval_s: Positive = 5.0
    push_headers: dict[Name, Name] | None = None
    ca_file: Name | None = None
    flush_s: Seconds = 10.0


class StartInfluxdbSink(Part):
    """The arguments of LD_start_influxdb_sink: how lines travel, where to, and what they hold."""

    noun: ClassVar[str] = "LD_start_influxdb_sink"

    transport: Annotated[str, Choice("transport", ("udp", "http"))] = "udp"
    host: Name = "127.0.0.1"
    port: Annotated[Port, Field(ge=1)] = 8089
    url: Name | None = None
    token: Name | None = None
    measurement: Name = "loaddensity_request"
    timeout: Positive = 2.0
    org: Name | None = None
    bucket: Name | None = None
    ca_file: Name | None = None
    tags: dict[Name, Name] | None = None
    max_series: SeriesCap = 500
    queue_points: Annotated[Int, Field(ge=1)] = 100_000
    batch_points: Annotated[Int, Field(ge=1)] = 5_000
    flush_s: Seconds = 10.0


class StartOpentelemetryExporter(Part):
    """The arguments of LD_start_opentelemetry_exporter: where to, how, and as whom."""

    noun: ClassVar[str] = "LD_start_opentelemetry_exporter"

    endpoint: Name | None = None
    service_name: Name = "loaddensity"
    export_interval_ms: Annotated[Int, Field(ge=100)] = 5_000
    protocol: Annotated[str, Choice("protocol", ("grpc", "http"))] = "grpc"
    headers: dict[Name, Name] | None = None
    resource: dict[Name, Name] | None = None
    ca_file: Name | None = None
    cert_file: Name | None = None
    key_file: Name | None = None
    compression: Flag = False
    timeout: Positive = 10.0
    max_series: SeriesCap = 500
    flush_s: Seconds = 10.0
    trace_sample_rate: Annotated[Number, Field(ge=0, le=1)] = 0.0
    traces_per_s: Positive = 100.0
    traces_endpoint: Name | None = None
