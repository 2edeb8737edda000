"""A request written as the keys of a step, each value shown to a `Look` that may put a placeholder in its place.

The same walk serves to collect what requests send (a look that notes and returns None) and to write the steps.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from loadflow.engine.recording.entry import Request

__all__ = ["DOLLAR", "Look", "Shape", "step_keys"]

# How a value stands: as all of a text that is sent as text ("whole"), as a part of one ("part"), as a text or a number of JSON.
Shape = Literal["whole", "part", "string", "number"]
# Given a value, how it stands and the name it stands under ("" for parts): the placeholder to send instead, or None.
Look = Callable[[str, Shape, str], str | None]

# `${` can't be written in a script; this variable, with the value "$", and "{" behind it are sent as `${`.
DOLLAR = "dollar"

COARSE = re.compile(r"[A-Za-z0-9_.~+/-]{3,}={0,2}")  # tokens, also Base64 ones and such with dots
FINE = re.compile(r"[A-Za-z0-9_-]{3,}")
SAFE = re.compile(r"[A-Za-z0-9_.~-]+")  # means the same in a path, encoded or not
SCHEMES = ("bearer", "basic", "token", "digest")
MOST_TEXT = 1_000_000  # characters; a longer text is sent as it is


def step_keys(request: Request, cookies: Mapping[str, str], look: Look) -> dict[str, Any]:
    """`request_url`, `params`, `headers`, `cookies`, `auth` and the body, as far as the request has them."""
    keys: dict[str, Any] = {"request_url": request.url}
    url, params = _url(request.url, look)
    keys["request_url"] = url
    if params is not None:
        keys["params"] = params
    if request.headers:
        keys["headers"] = {name: _header(name, value, look) for name, value in request.headers}
    if cookies:
        keys["cookies"] = {name: _text(value, name, look) for name, value in cookies.items()}
    if request.credentials is not None:
        user, password = (unquote(one) for one in request.credentials)
        keys["auth"] = {"type": "basic", "username": _text(user, "username", look), "password": _text(password, "password", look)}
    return keys | _body(request, look)


def _url(url: str, look: Look) -> tuple[str, list[list[str]] | None]:
    """The URL, and its query as pairs when a value of it became a placeholder: those are encoded after they are filled in."""
    parts = urlsplit(url)
    whole = look(url, "whole", "")
    if whole is not None:
        return whole, None
    target = url[len(f"{parts.scheme}://{parts.netloc}") :]
    placed = look(target, "whole", "") if len(target) > 1 else None
    if placed is not None:
        return f"{parts.scheme}://{parts.netloc}{placed}", None
    path = "/".join(_segment(one, look) for one in parts.path.split("/"))
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    filled = [[name, _text(value, name, look)] for name, value in pairs]
    base = f"{parts.scheme}://{parts.netloc}{path}"
    if any(new != _literal(old) for (_, new), (_, old) in zip(filled, pairs, strict=True)):
        return base, [[_literal(name), value] for name, value in filled]
    return (f"{base}?{parts.query.replace('${', '%24{')}" if parts.query else base), None


def _segment(segment: str, look: Look) -> str:
    plain = unquote(segment)
    found = look(plain, "whole", "") if SAFE.fullmatch(plain) else None
    return segment.replace("${", "%24{") if found is None else found


def _header(name: str, value: str, look: Look) -> str:
    scheme, space, rest = value.partition(" ")
    if space and scheme.lower() in SCHEMES:
        return f"{scheme} {_text(rest, name, look)}"
    return _text(value, name, look)


def _body(request: Request, look: Look) -> dict[str, Any]:
    body = request.body
    match body.kind:
        case "json":
            return {"json": _json(body.value, "", look)}
        case "form":
            return {"data": [[_literal(name), _text(value, name, look)] for name, value in body.fields]}
        case "multipart":
            files = [_file(one.field, one.filename, one.content_type, one.content) for one in body.files]
            fields = [[_literal(name), _text(value, name, look)] for name, value in body.fields]
            return {"files": files, **({"data": fields} if fields else {})}
        case "text":
            return {"data": _text(body.value, "", look)}
        case "binary":
            return {"data_base64": body.value}
    return {}


def _file(field: str, filename: str, content_type: str, content: bytes) -> dict[str, str]:
    entry = {"field": field.replace("${", "$ {"), "filename": filename.replace("${", "$ {"), "content_type": content_type}
    try:
        text = content.decode()
        key, value = ("content_base64", base64.b64encode(content).decode()) if "${" in text else ("content", text)
    except UnicodeDecodeError:
        key, value = "content_base64", base64.b64encode(content).decode()
    return {name: one.replace("${", "$ {") for name, one in entry.items() if one} | {key: value}


def _json(value: Any, name: str, look: Look) -> Any:
    if isinstance(value, dict):
        return {key: _json(one, key, look) for key, one in value.items()}
    if isinstance(value, list):
        return [_json(one, name, look) for one in value]
    if isinstance(value, str):
        found = look(value, "string", name)
        return _parts(value, look) if found is None else found
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
        found = look(str(value), "number", name)
        return value if found is None else found
    return value


def _text(text: str, name: str, look: Look) -> str:
    found = look(text, "whole", name)
    return _parts(text, look) if found is None else found


def _parts(text: str, look: Look) -> str:
    """The tokens of a text, each looked at; not the text as a whole, which was looked at before."""
    if len(text) > MOST_TEXT:
        return _literal(text)

    def fine(match: re.Match[str]) -> str:
        found = None if match[0] == text else look(match[0], "part", "")
        return match[0] if found is None else found

    def coarse(match: re.Match[str]) -> str:
        found = None if match[0] == text else look(match[0], "part", "")
        return FINE.sub(fine, match[0]) if found is None else found

    return f"${{var.{DOLLAR}}}{{".join(COARSE.sub(coarse, piece) for piece in text.split("${"))


def _literal(text: str) -> str:
    return text.replace("${", f"${{var.{DOLLAR}}}{{")
