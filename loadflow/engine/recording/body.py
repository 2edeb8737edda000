"""A recorded request body as the keys of a step: json, data, files or data_base64, whichever sends the same again."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

from loadflow.engine.base.counted import counted
from loadflow.engine.base.json_reading import read_json
from loadflow.engine.recording.exchange import PostData
from loadflow.engine.recording.multipart import boundary_of, fields_and_files, parts_of, parts_of_params

__all__ = ["StepBody", "body_of"]

_ENCODED = re.compile(r"(?:[^\s%]|%[0-9A-Fa-f]{2})*", re.ASCII)
FORM = "application/x-www-form-urlencoded"
DEEPEST_JSON = 40  # a script may be 64 levels deep (script.json_text.MAX_NESTING), a step's body begins at the seventh


@dataclass(frozen=True, slots=True)
class StepBody:
    """`keys` go into the step. `makes_type`: the engine writes the Content-Type itself, with its own boundary. `note` "": all is well."""

    keys: dict[str, object] = field(default_factory=dict)
    makes_type: bool = False
    note: str = ""


def body_of(post: PostData | None) -> StepBody:
    """What a step says to send this body; an empty one is not a body."""
    if post is None:
        return StepBody()
    kind = post.mime.split(";", 1)[0].strip().lower()
    if kind == "multipart/form-data":
        return _multipart(post)
    if not post.text:
        return StepBody({"data": _listed_form(post)})
    body, note = _bytes_of(post)
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return StepBody({"data_base64": base64.b64encode(body).decode()}, note=note)
    if kind == FORM and (fields := _form(text)) is not None:
        return StepBody({"data": fields}, note=note)
    if (kind == "text/json" or kind.endswith(("/json", "+json"))) and (value := _json(text)) is not None:
        return StepBody({"json": value}, note=note)
    return StepBody({"data": text} if text else {}, note=note)


def _multipart(post: PostData) -> StepBody:
    if not post.text:
        parts, body, note = parts_of_params(post.params), None, ""
    else:
        body, note = _bytes_of(post)
        parts = parts_of(body, boundary_of(post.mime)) or []
    said = fields_and_files(parts) if parts else None
    if said is not None:
        fields, files = said
        return StepBody({**({"data": _form_fields(fields)} if fields else {}), "files": files}, makes_type=True, note=note)
    if body is None:
        return StepBody(note="its form was not recorded in a way that can be sent again")
    # sent as it was, with the boundary that the recorded Content-Type names
    try:
        return StepBody({"data": body.decode()}, note=note)
    except UnicodeDecodeError:
        return StepBody({"data_base64": base64.b64encode(body).decode()}, note=note)


def _bytes_of(post: PostData) -> tuple[bytes, str]:
    """The body's bytes, and what is wrong with them.

    Exporters write bytes that are no UTF-8 in four ways: as Base64, as half surrogates (Python's surrogateescape, mitmproxy),
    as one character a byte (the recorded length shows which), or not at all, with U+FFFD in their place.
    """
    if post.is_base64:
        try:
            return base64.b64decode(post.text), ""
        except (binascii.Error, ValueError):
            pass
    try:
        body = post.text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return post.text.encode("utf-8", "replace"), "its body holds characters that don't exist; they were replaced"
    if post.size is not None and post.size != len(body):
        try:
            single = post.text.encode("latin-1")
        except UnicodeEncodeError:
            single = b""
        if len(single) == post.size:
            return single, ""
        if "\ufffd" in post.text:
            return body, f"its body of {counted(post.size, 'byte')} was not recorded completely"
    return body, ""


def _listed_form(post: PostData) -> dict[str, str] | list[list[str]] | str:
    """The fields that an exporter listed: as they were before they were encoded, or (the body's size shows which) encoded already."""
    pairs = [[_param(one, "name"), _param(one, "value")] for one in post.params]
    encoded = "&".join(f"{name}={value}" for name, value in pairs)
    if _ENCODED.fullmatch(encoded) and "%" in encoded and post.size == len(encoded):
        fields = _form(encoded)
        # byte for byte what was sent, where the engine would write a blank as "+"
        return fields if fields is not None and urlencode(parse_qsl(encoded, keep_blank_values=True)) == encoded else encoded
    return _form_fields(pairs)


def _form(text: str) -> dict[str, str] | list[list[str]] | None:
    """The fields of a urlencoded form; None for what would not be the same again."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict")
    except ValueError:
        return None
    if not pairs or any("=" not in part for part in text.split("&")):
        return None
    return _form_fields([[name, value] for name, value in pairs])


def _form_fields(pairs: list[list[str]]) -> dict[str, str] | list[list[str]]:
    """An object where no name is there twice and none holds what would be a placeholder; else pairs."""
    counted = Counter(name for name, _ in pairs)
    if len(counted) < len(pairs) or any("${" in name for name in counted):
        return pairs
    return {pair[0]: pair[1] for pair in pairs}


def _param(param: Mapping[str, object], key: str) -> str:
    value = param.get(key)
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


class _NotTheSameError(ValueError):
    """This JSON would not be the same after reading and writing it."""


def _json(text: str) -> object:
    """The value; None where writing it again would change it (names there twice, numbers beyond a float) or a step can't hold it."""
    try:
        value = read_json(text, object_pairs_hook=_object, parse_float=_float, parse_constant=_constant)
        written = json.dumps(value, ensure_ascii=False)
        written.encode()
    except (ValueError, RecursionError):
        return None
    return value if _depth(value) <= DEEPEST_JSON else None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) < len(pairs) or any("${" in name for name in made):
        raise _NotTheSameError
    return made


def _float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")) or len(text.lstrip("-0.").replace(".", "").split("e")[0].split("E")[0]) > 17:
        raise _NotTheSameError
    return number


def _constant(_: str) -> object:
    raise _NotTheSameError


def _depth(value: object) -> int:
    deepest, pending = 0, [(value, 1)]
    while pending:
        one, depth = pending.pop()
        if isinstance(one, dict | list):
            deepest = max(deepest, depth)
            pending.extend((inner, depth + 1) for inner in (one.values() if isinstance(one, dict) else one))
    return deepest
