"""An HTTP step's request as the native core takes it.

Bytes where every hit has the same; parts with templates where they differ; and for rare shapes (uploads with placeholders, a
time limit from a variable) the values, of which `HttpStep` makes each request.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.generator.native.nodes import Node, Nodes, is_static, joined, static_value
from loadflow.engine.generator.native.tls_table import TlsTable
from loadflow.engine.plan.step_json import StepJson
from loadflow.engine.protocols.http.credentials import kind_of_auth
from loadflow.engine.protocols.http.request import (
    FIELD_NAME,
    FIELD_VALUE,
    PARTS,
    HttpRequest,
    HttpStep,
    Limits,
    asks_to_close,
    body_of,
    is_signed,
    is_used,
    place_of,
)
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.resolve.template import text_of

__all__ = ["assembled", "digest_of", "request_of"]

BODY_KEYS = ("json", "data", "data_base64", "files")
SETTINGS = ("timeout", "verify", "cert", "cert_password", "sni", "allow_redirects")
KNOWN = {*BODY_KEYS, *SETTINGS, "params", "auth", "headers", "cookies"}  # of a further key, Python makes each request


def request_of(config: StepJson, prepared: HttpStep, host: str | None, nodes: Nodes, tls: TlsTable) -> dict[str, object]:
    if prepared.fixed is not None:
        return {"fixed": assembled(prepared.fixed, tls)}
    keys = {key: nodes.of(config[key]) for key in PARTS if is_used(key, config)}
    url = nodes.of(config["request_url"])
    parts = _Parts(keys, url, host, nodes, config, tls, prepared.defaults)
    if parts.is_rare():
        return {"python": [("request_url", url), *keys.items()]}
    return {"parts": parts.to_json()}


def assembled(request: HttpRequest, tls: TlsTable) -> JsonObject:
    """One whole request."""
    own = {name.lower() for name, _ in request.headers}
    return {
        "place": {
            "https": request.scheme == "https",
            "host": request.host,
            "port": request.port,
            "tls": tls.number(request.verify, request.cert),
            "sni": request.sni,
        },
        "head": base64.b64encode(request.head).decode(),
        "body": base64.b64encode(request.body).decode(),
        "cookies": request.cookies,
        "own_host": "host" in own,
        "own_length": "content-length" in own,
        "closes": request.closes,
        "limits": {"connect_s": request.connect_timeout_s, "total_s": request.timeout_s, "follow": request.allow_redirects},
        "digest": digest_of(request),
    }


def digest_of(request: HttpRequest) -> tuple[str, str] | None:
    """User and password that a challenge of Digest is answered with."""
    return None if request.digest is None else (request.digest.username, request.digest.password)


class _Parts:
    """One step whose requests differ."""

    def __init__(
        self,
        keys: Mapping[str, Node],
        url: Node,
        host: str | None,
        nodes: Nodes,
        config: StepJson,
        tls: TlsTable,
        defaults: Mapping[str, str],
    ) -> None:
        self._keys = keys
        self._url = url
        self._host = host
        self._nodes = nodes
        self._config = config
        self._tls = tls
        self._defaults = defaults
        headers = config.get("headers") or {}
        self._own = [(name, nodes.of(value)) for name, value in headers.items() if value is not None]
        self._replaced = {name.lower() for name, _ in self._own}

    def is_rare(self) -> bool:
        """Whether Python has to make each request."""
        body_changes = any(not is_static(self._keys[key]) for key in BODY_KEYS if key in self._keys)
        return (
            not self._keys.keys() <= KNOWN
            or is_signed(self._config)
            or (is_used("auth", self._config) and kind_of_auth(self._config["auth"]) == "digest")
            or any(not is_static(self._keys[key]) for key in SETTINGS if key in self._keys)
            or (body_changes and bool({"files", "data_base64"} & self._keys.keys()))
            or "cookie" in self._replaced
            or any(name.lower() == "connection" and not is_static(node) for name, node in self._own)
            or "@" in _texts(self._url) + (self._host or "")
            or any(not FIELD_NAME.fullmatch(name) for name in [*self._replaced, *(self._config.get("cookies") or ())])
            or any(is_static(node) and not FIELD_VALUE.fullmatch(text_of(static_value(node))) for _, node in self._own)
        )

    def to_json(self) -> JsonObject:
        limits = Limits.of({key: static_value(self._keys[key]) for key in SETTINGS if key in self._keys})
        number = self._tls.number(limits.verify, limits.cert)
        tls = {"tls": number, "sni": limits.sni}
        place, rest = _split(self._url, self._host)
        auth = self._config["auth"] if "auth" in self._keys else None
        bearer = [] if auth is None or auth["type"].lower() != "bearer" else [("Authorization", self._bearer(auth))]
        defaults = [(name, value) for name, value in self._defaults.items() if name.lower() not in self._replaced]
        basic = None if auth is None or bearer else (self._nodes.of(auth["username"]), self._nodes.of(auth["password"]))
        return {
            "place": None if place is None else {"https": place[0] == "https", "host": place[1], "port": place[2], **tls},
            **tls,
            "url": rest,
            "base": self._host,
            "params": self._keys.get("params"),
            "fields": _merged([(name, {"static": value}) for name, value in defaults]),
            "typed": "content-type" not in self._replaced,
            "own": _merged([*bearer, *self._own]),
            "basic": basic,
            "own_host": "host" in self._replaced,
            "own_length": "content-length" in self._replaced,
            "closes": asks_to_close([*defaults, *((name, text_of(static_value(node))) for name, node in self._own if is_static(node))]),
            "body": self._body(),
            "cookies": [(name, self._nodes.of(value)) for name, value in (self._config.get("cookies") or {}).items()],
            "limits": {"connect_s": limits.connect_s, "total_s": limits.total_s, "follow": limits.follow},
        }

    def _bearer(self, auth: Mapping[str, object]) -> Node:
        return joined([{"static": "Bearer "}, self._nodes.of(auth["token"])])

    def _body(self) -> dict[str, object] | str:
        given = {key: self._keys[key] for key in BODY_KEYS if key in self._keys}
        if not given:
            return "none"
        if all(map(is_static, given.values())):
            body, content_type = body_of({key: static_value(node) for key, node in given.items()})
            return {"fixed": (base64.b64encode(body).decode(), content_type)}
        return {"json": given["json"]} if "json" in given else {"data": given["data"]}


def _merged(fields: list[tuple[str, Node]]) -> list[tuple[str, Node]]:
    """Fields that are the same for every hit, and stand together, as ready lines under the name ""."""
    result: list[tuple[str, Node]] = []
    for name, node in fields:
        if is_static(node) and (text := text_of(static_value(node))).isascii():
            line = f"{name}: {text}\r\n"
            if result and not result[-1][0]:
                line = static_value(result.pop()[1]) + line
            result.append(("", {"static": line}))
        else:
            result.append((name, node))
    return result


def _texts(node: Node) -> str:
    """What is static in a URL."""
    if is_static(node):
        return str(static_value(node))
    return "".join(_texts(part) for part in node["join"]) if isinstance(node, dict) and "join" in node else ""


def _split(url: Node, host: str | None) -> tuple[tuple[str, str, int] | None, Node]:
    """Where a URL leads if that is the same for every hit, and the template of the target; else None and the URL's own."""
    parts: list[Any] = url["join"] if isinstance(url, dict) and "join" in url else [url]
    if not is_static(parts[0]):
        return None, url
    first = text_of(static_value(parts[0]))
    if host is not None and first.startswith("/") and first.strip("/"):
        first = f"{host.rstrip('/')}/{first.lstrip('/')}"
    scheme, mark, rest = first.partition("://")
    end = next((at for at, letter in enumerate(rest) if letter in "/?#"), -1)
    if not mark or scheme.lower() not in ("http", "https") or end < 0:
        return None, url
    whole = first if len(parts) == 1 else f"{scheme}://{rest[:end]}/"
    scheme, name, port, target = place_of(whole, None, Outcome.TEMPLATE)
    if len(parts) == 1:
        return (scheme, name, port), {"static": target}
    return (scheme, name, port), joined([{"static": rest[end:]}, *parts[1:]])
