"""What LD_start_prometheus_exporter takes."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from loadflow.engine.exporters.shared.values import Port, SeriesCap
from loadflow.engine.script.part import Name, Part, Positive, Seconds

__all__ = ["StartPrometheusExporter"]


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
