"""What LD_start_statsd_exporter takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar

from pydantic import Field

from loadflow.engine.exporters.shared.values import Port, SeriesCap
from loadflow.engine.script.mistakes import Fault
from loadflow.engine.script.part import Choice, Int, Name, Part, Positive, Seconds

__all__ = ["StartStatsdExporter"]


class StartStatsdExporter(Part):
    """The arguments of LD_start_statsd_exporter: how lines travel, where to, and how they are written."""

    noun: ClassVar[str] = "LD_start_statsd_exporter"

    host: Name = "127.0.0.1"
    port: Annotated[Port, Field(ge=1)] = 8125
    transport: Annotated[str, Choice("transport", ("udp", "tcp"))] = "udp"
    prefix: Annotated[Name, Field(pattern=r"^[A-Za-z0-9_.-]+$")] = "loadflow"
    tag_format: Annotated[str, Choice("tag format", ("none", "dogstatsd"))] = "none"
    tags: dict[Name, Name] | None = None
    timeout: Positive = 2.0
    max_series: SeriesCap = 500
    queue_lines: Annotated[Int, Field(ge=1, le=10_000_000)] = 100_000
    batch_lines: Annotated[Int, Field(ge=1, le=1_000_000)] = 5_000
    flush_s: Seconds = 10.0

    @classmethod
    def conflicts(cls, raw: dict[str, object]) -> Iterable[Fault]:
        if raw.get("tags") and raw.get("tag_format", "none") == "none":
            yield Fault(("tags",), "can't be sent in plain StatsD", 'write "tag_format": "dogstatsd" too, or remove tags')
