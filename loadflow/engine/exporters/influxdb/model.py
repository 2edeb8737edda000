"""What LD_start_influxdb_sink takes."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from loadflow.engine.exporters.shared.values import Port, SeriesCap
from loadflow.engine.script.part import Choice, Int, Name, Part, Positive, Seconds

__all__ = ["StartInfluxdbSink"]


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
    queue_points: Annotated[Int, Field(ge=1, le=10_000_000)] = 100_000
    batch_points: Annotated[Int, Field(ge=1, le=1_000_000)] = 5_000
    flush_s: Seconds = 10.0
