"""LD_campaign: one load for each cell of a matrix."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.script.command import LOAD, Command
from loadflow.engine.script.part import HIGHEST, Flag, Int, Name, Number, Part, Positive, Seconds, Text

__all__ = ["COMMAND", "Campaign"]

MOST_AT_ONCE = 64
PerSecond = Annotated[Number, Field(gt=0, le=HIGHEST)]


class Campaign(Part):
    """The arguments of LD_campaign."""

    noun: ClassVar[str] = "LD_campaign"
    test: JsonObject = Field(default={})  # checked with the values of each cell, before the first load
    variables: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(default={})
    targets: tuple[Name, ...] = ()
    rates: tuple[PerSecond, ...] = ()
    script_files: tuple[Name, ...] = ()
    metric: Name = "p95"
    at_once: Annotated[Int, Field(ge=1, le=MOST_AT_ONCE)] = 1
    budget: Positive = 14_400.0
    max_age: Seconds = 86_400.0
    fail_on_failed: Flag = False
    label: Text = ""


COMMAND = Command(
    "LD_campaign",
    "loadflow.engine.load.campaign:campaign",
    "Make one load for each combination of scripts, variables, targets and rates, and compare them.",
    LOAD,
    model=Campaign,
    loads=True,
    dry=True,
    group="load",
    returns="object: verdict, cells, page",
    example={
        "variables": {"page": ["/", "/search"]},
        "rates": [50, 100],
        "metric": "p95",
        "test": {
            "user_detail_dict": {"user": "fast_http_user"},
            "test_time": 30,
            "variables": {"page": "/"},
            "tasks": [{"name": "page", "method": "get", "request_url": "http://127.0.0.1:8000${var.page}"}],
        },
    },
)
