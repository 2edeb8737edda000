"""The messages of the framed mode: JSON objects, one a frame. Knows no socket.

A request is `{"op": …, "id": …, "token": …}` and what the operation takes; `id` is any text or number, and comes back. A reply is
`{"ok": true, "op", "id", "result"}` or `{"ok": false, "op", "id", "error": {"kind", "message", "mistakes"}}`. What a followed run
does comes as `{"event": "snapshot" | "end", "op": "follow", "id", "run", "data"}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from loadflow.engine.base.json_reading import JsonBoundError, read_json
from loadflow.engine.base.json_value import JsonMapping
from loadflow.engine.control.frames import encode_frame
from loadflow.engine.script.mistakes import kind_of, shorten, suggest
from loadflow.errors import Mistake

__all__ = [
    "MOST_MISTAKES",
    "OPERATIONS",
    "ErrorKind",
    "Refused",
    "Request",
    "encode",
    "encode_json",
    "error_frame",
    "error_json",
    "event_frame",
    "parse",
    "result_frame",
]

MAX_ID_CHARACTERS = 200
MAX_TEXT_CHARACTERS = 1_000  # of a label, a reason, a run's name
MOST_MISTAKES = 100  # that one answer lists


class ErrorKind(StrEnum):
    """Why a request was refused: what a program decides by."""

    BAD_FRAME = "bad_frame"  # and the connection is closed
    BAD_REQUEST = "bad_request"
    UNAUTHORISED = "unauthorised"  # and the connection is closed
    SCRIPT = "script"  # `mistakes` say what is wrong with it; nothing has run
    NOT_FOUND = "not_found"
    NOT_ENDED = "not_ended"
    BUSY = "busy"
    RATE = "rate"  # and the connection is closed
    TIMEOUT = "timeout"  # and the connection is closed
    SHUTTING_DOWN = "shutting_down"
    TOO_LARGE = "too_large"


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, kind: ErrorKind, message: str, mistakes: Iterable[Mistake] = ()) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.mistakes = tuple(mistakes)


@dataclass(frozen=True, slots=True)
class Request:
    """`text` is the JSON it came as; `token` None: none was given."""

    op: str
    id: str | int | float | None = None
    token: object = None
    fields: JsonMapping = field(default_factory=dict)
    text: str = ""


# what each operation takes: name to JSON type; those with a `!` must be there
OPERATIONS: Mapping[str, Mapping[str, tuple[type, ...]]] = {
    "start": {"script!": (list, dict), "label": (str,), "follow": (bool,)},
    "follow": {"run!": (str,)},
    "stop": {"run!": (str,), "reason": (str,)},
    "list": {},
    "result": {"run!": (str,)},
    "quit": {"wait": (bool,)},
}
_WORDS: Mapping[type, str] = {list: "a list", dict: "an object", str: "text", bool: "true or false"}


def read(body: bytes) -> Request:
    """The request as it names itself, its fields not looked at yet. Raises Refused.

    >>> read(b'{"op": "list", "id": 7}').id
    7
    """
    try:
        text = body.decode("utf-8")
        data = read_json(text)
    except UnicodeDecodeError:
        raise Refused(ErrorKind.BAD_REQUEST, "the frame holds no UTF-8 text") from None
    except JsonBoundError as error:
        raise Refused(ErrorKind.BAD_REQUEST, f"{error}") from None
    except ValueError as error:
        raise Refused(ErrorKind.BAD_REQUEST, f"the frame holds no JSON: {error}") from None
    if not isinstance(data, dict):
        raise Refused(ErrorKind.BAD_REQUEST, f'a request is an object such as {{"op": "start", "script": […]}}, not {kind_of(data)}')
    asked_id, op = data.pop("id", None), data.pop("op", None)
    if isinstance(asked_id, bool) or not isinstance(asked_id, str | int | float | None) or len(str(asked_id)) > MAX_ID_CHARACTERS:
        raise Refused(ErrorKind.BAD_REQUEST, f"id is a number or a text of at most {MAX_ID_CHARACTERS} characters")
    return Request(op if isinstance(op, str) else "", asked_id, data.pop("token", None), data, text)


def check(request: Request) -> None:
    """Raises Refused with every mistake in the request's own keys; the script is not looked into."""
    if request.op not in OPERATIONS:
        what = f"{shorten(request.op)} is not an operation" if request.op else "op is missing"
        raise Refused(ErrorKind.BAD_REQUEST, what, [Mistake("op", what, suggest(request.op, OPERATIONS, "operations"))])
    takes = {name.rstrip("!"): types for name, types in OPERATIONS[request.op].items()}
    mistakes = []
    for name, value in request.fields.items():
        if name not in takes:
            hint = suggest(name, takes, "it takes") if takes else "it takes nothing"
            mistakes.append(Mistake(name[:60], f"is nothing that {request.op} takes", hint))
        elif not isinstance(value, takes[name]):
            wanted = " or ".join(_WORDS[one] for one in takes[name])
            mistakes.append(Mistake(name, f"must be {wanted}, not {kind_of(value)}"))
        elif isinstance(value, str) and len(value) > MAX_TEXT_CHARACTERS:
            mistakes.append(Mistake(name, f"has more than {MAX_TEXT_CHARACTERS} characters", "write fewer"))
        if len(mistakes) >= MOST_MISTAKES:
            break
    for name in OPERATIONS[request.op]:
        if name.endswith("!") and name[:-1] not in request.fields:
            mistakes.append(Mistake(name[:-1], "is missing", f"{request.op} needs it"))
    if mistakes:
        raise Refused(ErrorKind.BAD_REQUEST, f"{request.op} can't be done as asked: {mistakes[0]}", mistakes)


def parse(body: bytes) -> Request:
    """`read` and `check`."""
    request = read(body)
    check(request)
    return request


def encode(message: JsonMapping) -> bytes:
    """Raises FrameError when it does not fit into a frame."""
    return encode_frame(encode_json(message))


def encode_json(value: object) -> bytes:
    # half a surrogate pair (from a target's answer) is not UTF-8; as \\uXXXX every reader takes it
    return json.dumps(value, separators=(",", ":"), default=str).encode("ascii")


def result_frame(request: Request, result: object) -> bytes:
    return encode({"ok": True, "op": request.op, "id": request.id, "result": result})


def error_json(refused: Refused) -> dict[str, object]:
    """Kind, message and mistakes, of bounded size."""
    mistakes = [{"place": mistake.place, "message": mistake.message, "hint": mistake.hint} for mistake in refused.mistakes[:MOST_MISTAKES]]
    return {"kind": str(refused.kind), "message": refused.message[:4_000], "mistakes": mistakes}


def error_frame(refused: Refused, request: Request | None = None) -> bytes:
    return encode({"ok": False, "op": request.op if request else "", "id": request.id if request else None, "error": error_json(refused)})


def event_frame(event: str, request_id: object, run: str, data: object) -> bytes:
    return encode({"event": event, "op": "follow", "id": request_id, "run": run, "data": data})
