"""LD_duet: load two versions of a target in turns, and say whether the new one is worse."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.history.duet import LOOKS
from loadflow.engine.history.population import METRICS
from loadflow.engine.script.command import LOAD, Command
from loadflow.engine.script.part import Choice, Flag, Int, Name, Part, Positive, Settled, Share

__all__ = ["COMMAND", "Duet"]


class Duet(Part):
    """The arguments of LD_duet."""

    noun: ClassVar[str] = "LD_duet"
    test: JsonObject  # checked with each target's host in it, when the legs are made
    baseline_target: Name
    target: Name
    metric: Annotated[str, Choice("metric", tuple(METRICS))] = "p95"
    floor: Share | Name = "2%"
    pairs: Annotated[Int, Field(ge=LOOKS[0], le=LOOKS[-1])] = LOOKS[-1]
    leg: Settled[Positive] = 60.0
    suspect: Name | None = None
    fail_on_worse: Flag = False


COMMAND = Command(
    "LD_duet",
    "loadflow.engine.load.duet:duet",
    "Load two versions of a target in turns, and say whether the new one is worse.",
    LOAD,
    model=Duet,
    loads=True,
    dry=True,
    group="judging",
    returns="object: verdict, change, pairs, legs",
    example={
        "baseline_target": "http://127.0.0.1:8001",
        "target": "http://127.0.0.1:8000",
        "leg": 30,
        "test": {"user_detail_dict": {"user": "fast_http_user"}, "rate": 100, "tasks": [{"method": "get", "request_url": "/health"}]},
    },
)
