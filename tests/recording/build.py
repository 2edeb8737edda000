"""Entries of a HAR, with only what a test says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loadflow.engine.commands import TABLE
from loadflow.engine.recording.convert import Recording, convert_har
from loadflow.engine.script.document import parse_script

__all__ = ["converted", "entry", "har", "step"]


def entry(
    method: str = "GET",
    url: str = "http://shop.example/",
    *,
    status: Any = 200,
    headers: Mapping[str, str] | list[tuple[str, str]] | None = None,
    post: dict[str, Any] | None = None,
    answer: str = "",
    answer_headers: Mapping[str, str] | None = None,
    at: float | None = None,
    time: float = 0,
    **more: Any,
) -> dict[str, Any]:
    """`at` is seconds after a start, `time` milliseconds; `more` are further keys of the entry."""
    pairs = list(headers.items()) if isinstance(headers, Mapping) else headers or []
    made: dict[str, Any] = {
        "request": {"method": method, "url": url, "headers": [{"name": name, "value": value} for name, value in pairs]},
        "response": {
            "status": status,
            "headers": [{"name": name, "value": value} for name, value in (answer_headers or {}).items()],
            "content": {"mimeType": "application/json", "text": answer},
        },
        "time": time,
        **more,
    }
    if post is not None:
        made["request"]["postData"] = post
    if at is not None:
        made["startedDateTime"] = f"2026-03-01T10:{int(at) // 60:02}:{at % 60:06.3f}Z"
    return made


def har(*entries: Any) -> dict[str, Any]:
    return {"log": {"version": "1.2", "creator": {"name": "tests", "version": "1"}, "entries": list(entries)}}


def converted(*entries: Any, **options: Any) -> Recording:
    """Converted, and proven to be a script that passes the check."""
    made = convert_har(har(*entries), **options)
    if made.tasks:
        parse_script(made.document(), commands=TABLE)
    return made


def step(one: dict[str, Any], **options: Any) -> dict[str, Any]:
    """The one step that the entry becomes."""
    (made,) = converted(one, **options).tasks
    return made
