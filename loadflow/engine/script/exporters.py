"""What the commands that start exporters take."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from loadflow.engine.script.part import Int, Name, Part, Positive, Seconds

__all__ = ["StartPrometheusExporter"]

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
