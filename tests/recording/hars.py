"""HAR entries as tests write them: the few fields a test is about, the rest as an exporter fills it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loadflow.engine.recording.convert import Conversion, Options, convert

FIXTURES = Path(__file__).parent / "fixtures"


def named(pairs: dict[str, str] | list[tuple[str, str]] | None) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in (pairs.items() if isinstance(pairs, dict) else pairs or [])]


def entry(
    url: str,
    method: str = "GET",
    headers: Any = None,
    body: str | None = None,
    mime: str = "",
    status: int = 200,
    answer: str | None = None,
    answer_mime: str = "application/json",
    answer_headers: Any = None,
    **more: Any,
) -> dict[str, Any]:
    """`more` are further keys of the entry; `post` replaces its postData, `size` is its bodySize."""
    request: dict[str, Any] = {"method": method, "url": url, "headers": named(headers), "cookies": [], "queryString": []}
    if body is not None:
        request["postData"] = {"mimeType": mime, "text": body}
    if "size" in more:
        request["bodySize"] = more.pop("size")
    if "post" in more:
        request["postData"] = more.pop("post")
    content = {"mimeType": answer_mime, **({"text": answer} if answer is not None else {})}
    response = {"status": status, "statusText": "", "headers": named(answer_headers), "cookies": [], "content": content, "redirectURL": ""}
    return {"request": request, "response": response, "time": 10, **more}


def har(*entries: Any) -> dict[str, Any]:
    return {"log": {"version": "1.2", "creator": {"name": "a test"}, "entries": list(entries)}}


def converted(*entries: Any, **options: Any) -> Conversion:
    return convert(har(*entries), Options.of(**options))


def step(one: dict[str, Any], **options: Any) -> dict[str, Any]:
    """The only step of a recording of one entry."""
    (task,) = converted(one, **options).tasks
    return task
