"""What a request over HTTP asks for: its body, bounded, as a script, and the keys of its query."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request

from loadflow.engine.base.counted import counted
from loadflow.engine.base.json_reading import read_json
from loadflow.engine.control.envelope import MAX_TEXT_CHARACTERS, ErrorKind, Refused
from loadflow.engine.control.web.plan import is_plan, script_of
from loadflow.engine.script.json_text import load_json
from loadflow.engine.script.mistakes import suggest
from loadflow.errors import ScriptError

__all__ = ["Asked", "body_of", "flag", "only", "script_in", "text"]

FLAGS = {"true": True, "1": True, "false": False, "0": False}
DRAINED = 4  # times the largest body: a client reads why it was refused only after it has sent all


@dataclass(frozen=True, slots=True)
class Asked:
    """A script: `document`, and the JSON `text` that it stands in."""

    document: object
    text: str
    label: str


async def body_of(request: Request, most_bytes: int) -> bytes:
    """The body. Raises Refused when it is too large; how long it may take, the connection knows."""
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size <= most_bytes:
                parts.append(part)
            else:
                parts.clear()
            if size > DRAINED * most_bytes:
                break
    except ClientDisconnect:
        raise Refused(ErrorKind.BAD_REQUEST, "the client went away") from None
    if size > most_bytes:
        most = counted(most_bytes, "byte")
        raise Refused(ErrorKind.TOO_LARGE, f"a body has at most {most}; put data into a CSV file, or write several scripts")
    return b"".join(parts)


def script_in(body: bytes) -> Asked:
    """Raises Refused for what is not JSON, or not a plan though it looks like one."""
    try:
        written = body.decode("utf-8-sig")
        document = read_json(written)
    except UnicodeDecodeError:
        raise Refused(ErrorKind.BAD_REQUEST, "the body is not UTF-8 text") from None
    except ValueError as error:
        raise Refused(ErrorKind.BAD_REQUEST, f"the body is not JSON: {error}") from None
    if not isinstance(document, dict | list):
        raise Refused(ErrorKind.BAD_REQUEST, "the body is an action script or a ScenarioPlan: a JSON list or object")
    if isinstance(document, list) or not is_plan(document):
        return Asked(document, written, "")
    mistakes = load_json(written)[1]  # keys that are there twice
    try:
        if mistakes:
            raise ScriptError(mistakes)
        script = script_of(document)
    except ScriptError as error:
        raise Refused(ErrorKind.SCRIPT, f"the plan can't be run as written: {error.mistakes[0]}", error.mistakes) from None
    return Asked(script, json.dumps(script), str(document["name"])[:MAX_TEXT_CHARACTERS])


def only(request: Request, keys: Iterable[str]) -> None:
    names = tuple(keys)
    for key in request.query_params:
        if key not in names:
            hint = suggest(key, names) if names else "this takes none"
            raise Refused(ErrorKind.BAD_REQUEST, f"{key[:60]!r} is not a query key of {request.method} {request.url.path[:80]}; {hint}")


def flag(request: Request, key: str, usual: bool) -> bool:
    value = request.query_params.get(key)
    if value is None:
        return usual
    if value.lower() not in FLAGS:
        raise Refused(ErrorKind.BAD_REQUEST, f"{key} is true or false")
    return FLAGS[value.lower()]


def text(request: Request, key: str) -> str:
    value = request.query_params.get(key, "")
    if len(value) > MAX_TEXT_CHARACTERS:
        raise Refused(ErrorKind.BAD_REQUEST, f"{key} has more than {MAX_TEXT_CHARACTERS:,} characters; write fewer")
    return value
