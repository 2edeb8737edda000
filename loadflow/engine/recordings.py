"""The commands that turn a browser's or a proxy's recording into a script."""

from __future__ import annotations

from typing import Any

from loadflow.engine.recording import har_file
from loadflow.engine.recording.convert import Options, convert
from loadflow.engine.recording.document import action_document

__all__ = ["har_to_action_json", "har_to_tasks", "load_har"]


def load_har(file_path: str) -> dict[str, Any]:
    """The parsed HAR in a file, with or without a byte order mark. Large ones are better given to the other two by their path."""
    return har_file.load_har(file_path)


def har_to_tasks(
    har: dict[str, Any] | str,
    include: list[str] | None = None,
    exclude: list[str] | None = None,
    think_time: str | dict[str, Any] | None = None,
    secrets: str = "lift",
) -> list[dict[str, Any]]:
    """The steps of a recording, a parsed HAR or the path of a HAR file, which is read in bounded memory.

    A URL is kept if any regex of `include` is found in it, and none of `exclude`. `think_time`: "recorded" or an object with
    scale, spread (0 to 1) and cap (seconds). `secrets` "lift" puts `${env.RECORDED_…}` in the place of passwords, tokens, keys and
    cookies; "keep" leaves them. Should a step need `${var.dollar_sign}`, its value is "$".

    >>> har_to_tasks({"log": {"entries": [{"request": {"method": "GET", "url": "http://shop.example/a?b=1"}}]}})
    [{'method': 'get', 'request_url': 'http://shop.example/a?b=1', 'name': 'GET /a'}]
    """
    return convert(har, Options.of(include, exclude, think_time, secrets)).tasks


def har_to_action_json(
    har: dict[str, Any] | str,
    user: str = "fast_http_user",
    user_count: int = 10,
    spawn_rate: float = 5,
    test_time: float | None = 60,
    include: list[str] | None = None,
    exclude: list[str] | None = None,
    think_time: str | dict[str, Any] | None = None,
    secrets: str = "lift",
) -> dict[str, Any]:
    """The action document that plays a recording; `har`, include, exclude, `think_time` and `secrets` as `har_to_tasks` takes them."""
    conversion = convert(har, Options.of(include, exclude, think_time, secrets))
    return action_document(conversion, user, user_count, spawn_rate, test_time)
