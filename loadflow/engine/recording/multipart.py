"""A multipart/form-data body (RFC 7578) taken apart, byte for byte, into what a step's `data` and `files` can say."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.message import Message
from urllib.parse import unquote_to_bytes

__all__ = ["FormPart", "boundary_of", "fields_and_files", "parts_of", "parts_of_params"]

_DATA_URL = re.compile(r"data:(?P<kind>[^,;]{0,127})(?:;[^,;]{1,127}=[^,;]{0,127})*(?P<base64>;base64)?,", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FormPart:
    """`filename` None: a field. `is_plain` False: it has header fields that a step can't send."""

    name: str
    content: bytes
    filename: str | None = None
    content_type: str = ""
    is_plain: bool = True


def boundary_of(content_type: str) -> str:
    """The boundary parameter, or "".

    >>> boundary_of('multipart/form-data; boundary="a b"')
    'a b'
    """
    match = re.search(r'boundary=(?:"([^"]*)"|([^\s;,]+))', content_type, re.IGNORECASE)
    return (match[1] or match[2] or "") if match else ""


def parts_of(body: bytes, boundary: str) -> list[FormPart] | None:
    """The parts in order; None for a body that is not what RFC 2046 section 5.1 asks for."""
    mark = b"--" + boundary.encode("latin-1", "replace")
    pieces = (b"\r\n" + body).split(b"\r\n" + mark)
    if not boundary or len(pieces) < 3 or pieces[0].strip() or not pieces[-1].startswith(b"--"):
        return None
    parts = [_part(piece) for piece in pieces[1:-1]]
    return None if None in parts else [part for part in parts if part is not None]


def parts_of_params(params: Iterable[Mapping[str, object]]) -> list[FormPart]:
    """The parts that an exporter listed itself."""
    parts = []
    for param in params:
        name, value, filename, kind = (param.get(key) for key in ("name", "value", "fileName", "contentType"))
        content = _content_of(value, filename, kind) if isinstance(value, str) else b""
        if isinstance(name, str):
            parts.append(
                FormPart(_clean(name), content, filename if isinstance(filename, str) else None, kind if isinstance(kind, str) else "")
            )
    return parts


def _content_of(value: str, filename: object, kind: object) -> bytes:
    """A file's bytes: the text, or what a data URL (RFC 2397) of the file's own type says, as some exporters write them."""
    data_url = _DATA_URL.match(value) if isinstance(filename, str) else None
    own = _media_type(kind) if isinstance(kind, str) else ""
    if data_url is not None and own in ("", _media_type(data_url["kind"] or "text/plain")):
        try:
            raw = unquote_to_bytes(value[data_url.end() :])
            return base64.b64decode(raw, validate=True) if data_url["base64"] else raw
        except (binascii.Error, ValueError):
            pass
    return value.encode("utf-8", "surrogateescape" if _is_bytes(value) else "replace")


def _media_type(text: str) -> str:
    return text.partition(";")[0].strip().lower()


def fields_and_files(parts: Iterable[FormPart]) -> tuple[list[list[str]], list[dict[str, str]]] | None:
    """`data` as pairs and `files` as a list; None when a step can't say it (a file input left empty, a field with a type)."""
    fields: list[list[str]] = []
    files: list[dict[str, str]] = []
    for part in parts:
        text = _as_text(part.content)
        if not part.is_plain or part.filename == "":
            return None
        if part.filename is None:
            if text is None or (part.content_type and not part.content_type.lower().startswith("text/plain")):
                return None
            fields.append([part.name, text])
        elif not part.name:
            return None
        else:
            content = {"content": text} if text is not None else {"content_base64": base64.b64encode(part.content).decode()}
            kind = {"content_type": part.content_type} if part.content_type and part.content_type.isprintable() else {}
            files.append({"field": part.name, "filename": _clean(part.filename), **kind, **content})
    return fields, files


def _part(piece: bytes) -> FormPart | None:
    head, found, content = piece.partition(b"\r\n\r\n")
    if not found or not head.startswith(b"\r\n"):
        return None
    message = Message()
    for line in head[2:].decode("utf-8", "replace").split("\r\n"):
        key, _, value = line.partition(":")
        message[key.strip()] = value.strip()
    disposition = message.get("content-disposition", "")
    if not disposition.lower().startswith("form-data"):
        return None
    name, filename = _parameter(disposition, "name"), _parameter(disposition, "filename")
    others = {key.lower() for key in message} - {"content-disposition", "content-type", "content-length"}
    is_plain = not others and "filename*" not in disposition.lower()
    return None if name is None else FormPart(name, content, filename, message.get("content-type", ""), is_plain)


def _parameter(disposition: str, name: str) -> str | None:
    """As browsers write it (WHATWG HTML, multipart/form-data encoding): a quote inside is %22, line breaks %0D and %0A."""
    match = re.search(rf';\s*{name}=(?:"([^"]*)"|([^\s;]+))', disposition, re.IGNORECASE)
    if match is None:
        return None
    text = match[1] if match[1] is not None else match[2]
    return text.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")


def _as_text(content: bytes) -> str | None:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def _is_bytes(text: str) -> bool:
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
