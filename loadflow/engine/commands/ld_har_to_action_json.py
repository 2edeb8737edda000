"""LD_har_to_action_json: return an action script that repeats the requests of a HAR."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.protocols.model.assertion import Regex
from loadflow.engine.recording.convert import Options, convert
from loadflow.engine.recording.document import action_document
from loadflow.engine.script.command import FILES, Command
from loadflow.engine.script.part import HIGHEST, Positive

__all__ = ["COMMAND", "har_to_action_json"]


def har_to_action_json(
    har: JsonObject | str,
    user: str = "fast_http_user",
    user_count: Annotated[int, Field(ge=1, le=HIGHEST)] = 10,
    spawn_rate: Positive = 5,
    test_time: Positive | None = 60,
    include: list[Regex] | None = None,
    exclude: list[Regex] | None = None,
    think_time: str | JsonObject | None = None,
    secrets: str = "lift",
) -> JsonObject:
    """The action document that plays a recording; `har`, include, exclude, `think_time` and `secrets` as `har_to_tasks` takes them."""
    conversion = convert(har, Options.of(include, exclude, think_time, secrets))
    return action_document(conversion, user, user_count, spawn_rate, test_time)


COMMAND = Command(
    "LD_har_to_action_json",
    har_to_action_json,
    "Return an action script that repeats the requests of a HAR.",
    FILES,
    dry=True,
    group="recordings",
    returns="object: a script",
    example={"har": "checkout.har", "user_count": 5},
)
