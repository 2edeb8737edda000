"""LD_har_to_tasks: return the steps that repeat the requests of a HAR."""

from __future__ import annotations

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.protocols.model.assertion import Regex
from loadflow.engine.recording.convert import Options, convert
from loadflow.engine.script.command import FILES, Command

__all__ = ["COMMAND", "har_to_tasks"]


def har_to_tasks(
    har: JsonObject | str,
    include: list[Regex] | None = None,
    exclude: list[Regex] | None = None,
    think_time: str | JsonObject | None = None,
    secrets: str = "lift",
) -> list[JsonObject]:
    """The steps of a recording, a parsed HAR or the path of a HAR file, which is read in bounded memory.

    A URL is kept if any regex of `include` is found in it, and none of `exclude`. `think_time`: "recorded" or an object with
    scale, spread (0 to 1) and cap (seconds). `secrets` "lift" puts `${env.RECORDED_…}` in the place of passwords, tokens, keys and
    cookies; "keep" leaves them. Should a step need `${var.dollar_sign}`, its value is "$".

    >>> har_to_tasks({"log": {"entries": [{"request": {"method": "GET", "url": "http://shop.example/a?b=1"}}]}})
    [{'method': 'get', 'request_url': 'http://shop.example/a?b=1', 'name': 'GET /a'}]
    """
    return convert(har, Options.of(include, exclude, think_time, secrets)).tasks


COMMAND = Command(
    "LD_har_to_tasks",
    har_to_tasks,
    "Return the steps that repeat the requests of a HAR.",
    FILES,
    dry=True,
    group="recordings",
    returns="list of steps",
    example={"har": "checkout.har", "exclude": ["\\.png$"]},
)
