"""The body of a recorded request, as one of the forms that a step can send."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NoReturn
from urllib.parse import parse_qsl

from loadflow.engine.script.json_text import json_faults

__all__ = ["NO_BODY", "Body", "File", "read_body"]

Kind = Literal["none", "json", "form", "multipart", "text", "binary"]
DEEPEST = 40  # levels of a JSON body; a script may have 64, and a body is inside some of them


@dataclass(frozen=True, slots=True)
class File:
    """One file of a multipart form."""

    field: str
    filename: str
    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Body:
    """By kind: json `value`; form `fields`; multipart `fields` and `files`; text `value`; binary `value` in Base64."""

    kind: Kind
    value: Any = None
    fields: tuple[tuple[str, str], ...] = ()
    files: tuple[File, ...] = ()
    content_type: str = ""

    @property
    def texts(self) -> tuple[Any, ...]:
        """All texts that are not known to be encodable."""
        named = tuple((file.field, file.filename, file.content_type) for file in self.files)
        return (self.value if isinstance(self.value, str) else "", self.fields, named)


NO_BODY = Body("none")


def read_body(post: Mapping[str, Any], content_type: str, size: object = None) -> tuple[Body, str]:
    """The body that `postData` describes, and what of it the recording lacks ("" when nothing).

    The text is believed before the list of params: it is what was sent, while recorders differ in whether params are decoded.
    """
    mime = content_type or (post["mimeType"] if isinstance(post.get("mimeType"), str) else "")
    raw, broken = _raw(post)
    if broken:
        return NO_BODY, broken
    if raw:
        body = _multipart(raw, mime) if mime.lower().startswith("multipart/form-data") else None
        return body or _by_type(raw, mime), ""
    params = [one for one in post.get("params") or () if isinstance(one, dict)] if isinstance(post.get("params"), list) else []
    if params:
        return _from_params(params, mime)
    lacking = isinstance(size, int | float) and not isinstance(size, bool) and size > 0
    return NO_BODY, "the recording does not hold its body: it is sent without" if lacking else ""


def _raw(post: Mapping[str, Any]) -> tuple[bytes, str]:
    text = post.get("text")
    if not isinstance(text, str):
        return b"", ""
    if str(post.get("encoding", "")).lower() == "base64":
        try:
            return base64.b64decode(text, validate=False), ""
        except (binascii.Error, ValueError):
            return b"", "its body is no Base64: it is sent without"
    return text.encode("utf-8", "surrogatepass"), ""


def _by_type(raw: bytes, mime: str) -> Body:
    try:
        text = raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return Body("binary", base64.b64encode(raw).decode(), content_type=mime)
    kind = mime.partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        return _json(text, mime)
    if kind == "application/x-www-form-urlencoded":
        return _form(text, mime)
    return Body("text", text, content_type=mime)


def _json(text: str, mime: str) -> Body:
    """JSON that comes out of a step as it went in; else its text: repeated keys, NaN, a whole null, `${` in a key."""
    as_text = Body("text", text, content_type=mime)
    try:
        value = json.loads(text, parse_constant=_refuse, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        return as_text
    if value is None or _deeper(value, DEEPEST) or json_faults(value):
        return as_text
    return Body("json", value, content_type=mime)


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs) or any("${" in key for key in made):
        raise ValueError("not to be had as an object")
    return made


def _deeper(value: Any, levels: int) -> bool:
    level = [value]
    for _ in range(levels):
        level = [
            one
            for held in level
            for one in (held.values() if isinstance(held, dict) else held if isinstance(held, list) else ())
            if isinstance(one, dict | list)
        ]
        if not level:
            return False
    return True


def _form(text: str, mime: str) -> Body:
    pieces = text.strip().split("&")
    try:
        pairs = parse_qsl(text.strip(), keep_blank_values=True, errors="strict")
    except ValueError:  # bytes that are no UTF-8
        return Body("text", text, content_type=mime)
    if not all("=" in piece for piece in pieces) or not _clean(pairs):
        return Body("text", text, content_type=mime)
    return Body("form", fields=tuple(pairs), content_type=mime)


def _clean(pairs: list[tuple[str, str]]) -> bool:
    try:
        "".join(name + value for name, value in pairs).encode()
    except UnicodeEncodeError:
        return False
    return True


def _multipart(raw: bytes, mime: str) -> Body | None:
    """RFC 7578; None for what is not well formed, which is then sent as it is."""
    boundary = re.search(r'boundary=(?:"([^"]+)"|([^;\s]+))', mime, re.IGNORECASE)
    if boundary is None:
        return None
    mark = b"--" + (boundary[1] or boundary[2]).encode("utf-8", "surrogatepass")
    newline = b"\r\n" if b"\r\n" in raw else b"\n"  # some recorders write the text with bare line feeds
    first, *parts = (newline + raw).split(newline + mark)
    if not parts or first.strip() or not parts[-1].startswith(b"--"):
        return None
    fields: list[tuple[str, str]] = []
    files: list[File] = []
    for part in parts[:-1]:
        head, found, content = part.partition(newline * 2)
        disposition = _header(head, "content-disposition")
        name = _parameter(disposition, "name")
        if not found or name is None:
            return None
        filename = _parameter(disposition, "filename")
        text = _text(content)
        if text is not None and not filename:
            fields.append((name, text))
        elif not name:
            return None
        else:
            files.append(File(name, filename or "", _header(head, "content-type"), content))
    return Body("multipart", fields=tuple(fields), files=tuple(files))


def _header(head: bytes, name: str) -> str:
    for line in head.decode("utf-8", "replace").splitlines():
        key, _, value = line.partition(":")
        if key.strip().lower() == name:
            return value.strip()
    return ""


def _parameter(disposition: str, name: str) -> str | None:
    """Browsers write a quote as %22, others as a backslash and a quote."""
    found = re.search(rf';\s*{name}=(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))', disposition, re.IGNORECASE)
    if found is None:
        return None
    return found[2] if found[1] is None else re.sub(r'\\(["\\])', r"\1", found[1]).replace("%22", '"')


def _text(content: bytes) -> str | None:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def _from_params(params: list[dict[str, Any]], mime: str) -> tuple[Body, str]:
    def text(one: dict[str, Any], key: str) -> str:
        value = one.get(key)
        return value if isinstance(value, str) else ""

    files = tuple(
        File(text(one, "name"), text(one, "fileName"), text(one, "contentType"), text(one, "value").encode("utf-8", "replace"))
        for one in params
        if text(one, "fileName") and text(one, "name")
    )
    fields = tuple((text(one, "name"), text(one, "value")) for one in params if not text(one, "fileName"))
    empty = [file.filename for file in files if not file.content]
    note = f"the recording does not hold the content of {len(empty)} file(s): sent empty" if empty else ""
    if files or mime.lower().startswith("multipart/form-data"):
        return Body("multipart", fields=fields, files=files), note
    return Body("form", fields=fields, content_type=mime), ""
