"""LD_find_capacity: find the highest rate at which all limits hold."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.script.command import LOAD, Command
from loadflow.engine.script.part import HIGHEST, Name, Number, Part, Positive, Share, Text

__all__ = ["COMMAND", "FindCapacity"]

PerSecond = Annotated[Number, Field(gt=0, le=HIGHEST)]


class FindCapacity(Part):
    """The arguments of LD_find_capacity."""

    noun: ClassVar[str] = "LD_find_capacity"
    test: JsonObject  # checked with a rate in it, when the first probe is made
    limits: Annotated[list[Name], Field(min_length=1)]
    start: PerSecond = 50.0
    at_most: PerSecond = 2_000.0
    precision: Share | Name = "5%"
    budget: Positive = 1_800.0
    probe: Positive = 60.0
    peak: PerSecond | None = None
    peak_growth: Share | Name = 0.0
    label: Text = ""


COMMAND = Command(
    "LD_find_capacity",
    "loadflow.engine.load.capacity:find_capacity",
    "Find the highest rate at which all limits hold.",
    LOAD,
    model=FindCapacity,
    loads=True,
    dry=True,
    group="load",
    returns="object: capacity_per_s, low, high, limit, probes, forecast, page",
    example={
        "limits": ["p99 < 500 ms", "failure_rate < 1%"],
        "start": 50,
        "at_most": 2000,
        "test": {"user_detail_dict": {"user": "fast_http_user"}, "tasks": [{"method": "get", "request_url": "http://127.0.0.1:8000/"}]},
    },
)
