"""What LD_start_opentelemetry_exporter takes."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from loadflow.engine.exporters.shared.values import SeriesCap
from loadflow.engine.script.part import Choice, Flag, Int, Name, Number, Part, Positive, Seconds

__all__ = ["StartOpentelemetryExporter"]


class StartOpentelemetryExporter(Part):
    """The arguments of LD_start_opentelemetry_exporter: where to, how, and as whom."""

    noun: ClassVar[str] = "LD_start_opentelemetry_exporter"

    endpoint: Name | None = None
    service_name: Name = "loaddensity"
    export_interval_ms: Annotated[Int, Field(ge=100, le=86_400_000)] = 5_000
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
