"""`websocket_user`: a step that connects, sends, receives, asks for a pong, or closes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.plan.step_json import StepJson
from loadflow.engine.protocols.model.assertion import JsonPath
from loadflow.engine.protocols.model.message_step import MessageStep
from loadflow.engine.protocols.model.user_type import Form, HostTrouble, UserType
from loadflow.engine.protocols.model.values import Base64, CertAndKey, Scalar
from loadflow.engine.script.mistakes import Fault, wrong
from loadflow.engine.script.part import A_FLAG, A_LIST, AN_OBJECT, BY_KIND, TEXT, Choice, Flag, Name, Part, Positive, Templated, Text
from loadflow.engine.script.placeholders import has_placeholder

__all__ = ["WEBSOCKET_USER", "Correlate", "WebSocketStep"]

METHODS = ("connect", "send", "recv", "sendrecv", "close", "ping")
SENDING = ("send", "sendrecv", "ping")
RECEIVING = ("recv", "sendrecv")
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 6455 section 4.1: what a subprotocol may be called

Payload = Annotated[
    Annotated[Text, TEXT] | Annotated[dict[str, object], AN_OBJECT] | Annotated[list[object], A_LIST],
    BY_KIND,
]


def _subprotocol(text: str) -> str:
    if not has_placeholder(text) and not TOKEN.fullmatch(text):
        raise wrong("is not the name of a subprotocol", "write letters, digits and -._~+ only, for example chat.v2")
    return text


Subprotocol = Annotated[Name, AfterValidator(_subprotocol)]


class Correlate(Part):
    """What answers a sent message that no step waits for: a message whose value at `reply_path` is the sent one's at `path`.

    `reply_path` None: `path`. `timeout` None: the step's. `name` None: the step's name and "reply".
    """

    noun: ClassVar[str] = "correlate"
    path: JsonPath
    reply_path: JsonPath | None = None
    timeout: Templated[Positive] | None = None
    name: Name | None = None


class WebSocketStep(MessageStep):
    """One action on the user's connection, which is made when it is first needed."""

    noun: ClassVar[str] = "a step of websocket_user"
    method: Annotated[str, Choice("WebSocket method", METHODS, any_case=True)] = "send"
    request_url: Name | None = None
    url: Name | None = None
    payload: Payload | None = None
    payload_base64: Base64 | None = None
    binary: Flag | None = None
    expect: Name | None = None
    timeout: Templated[Positive] | None = None
    headers: dict[str, Scalar] | None = None
    subprotocols: Annotated[list[Subprotocol], Field(min_length=1)] | None = None
    compression: Flag | None = None
    verify: Annotated[Annotated[Flag, A_FLAG] | Annotated[Name, TEXT], BY_KIND] | None = None
    cert: Annotated[Annotated[Name, TEXT] | Annotated[CertAndKey, A_LIST], BY_KIND] | None = None
    client_cert: Annotated[Annotated[Name, TEXT] | Annotated[CertAndKey, A_LIST], BY_KIND] | None = None
    correlate: Correlate | None = None

    @classmethod
    def conflicts(cls, raw: dict[str, object]) -> Iterable[Fault]:
        yield from super().conflicts(raw)
        given = {key for key, value in raw.items() if value is not None}
        for key, other in (("url", "request_url"), ("client_cert", "cert"), ("payload_base64", "payload")):
            if {key, other} <= given:
                yield Fault((key,), f"can't be combined with {other!r}", "keep one of them")
        method = str(raw.get("method") or "send").lower()
        if method not in METHODS:
            return
        if method not in SENDING:
            for key in sorted(given & {"payload", "payload_base64", "binary"}):
                yield Fault((key,), f"has no meaning for {method}, which sends no message", "remove it, or use send or sendrecv")
        if method != "send" and "correlate" in given:
            yield Fault(("correlate",), f"has no meaning for {method}", "it finds the answers to messages of method send")
        if method not in RECEIVING:
            yield from _needs_message(raw, method)

    def plain(self) -> JsonObject:
        """As `StepBase.plain`, with `method` always, and `request_url` and `cert` for their other spellings."""
        renamed = {"url": "request_url", "client_cert": "cert"}
        return {"method": self.method, **{renamed.get(key, key): value for key, value in super().plain().items()}}


def _needs_message(raw: Mapping[str, object], method: str) -> Iterable[Fault]:
    hint = "use recv or sendrecv, or remove it"
    for key in ("expect", "extract"):
        if raw.get(key):
            yield Fault((key,), f"looks at a message, and {method} receives none", hint)
    entries = raw.get("assertions")
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict) and str(entry.get("type")).lower() not in ("response_time", "status_code", "header"):
            yield Fault(("assertions", index), f"looks at a message, and {method} receives none", hint)


def _is_absolute(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("ws", "wss") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is not a number, half an IPv6 address
        return False


def _host(host: str) -> HostTrouble | None:
    return None if _is_absolute(host) else ("is not a ws or wss URL", 'write it whole, for example "wss://chat.example"')


def _faults(step: StepJson, hosted: bool) -> Iterable[Fault]:
    key = "request_url" if step.get("request_url") is not None else "url"
    url = step.get(key)
    if not isinstance(url, str) or not url or url.startswith("${"):
        return
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", url):
        if not has_placeholder(url) and not _is_absolute(url):
            yield Fault((key,), "is not a ws or wss URL", "write it like wss://chat.example/room, or relative to host")
    elif not hosted:
        yield Fault((key,), "is relative, and there is no host", "write the URL whole, or set host to what it is relative to")


def _beside(host: str) -> str | None:
    """The same server, of a test whose own users speak HTTP."""
    return host if host.startswith("${") else f"ws{host[4:]}" if host.lower().startswith(("http://", "https://")) else None


WEBSOCKET_USER = UserType(
    "websocket_user",
    Form(WebSocketStep),
    "loadflow.engine.protocols.websocket.request:WebSocketStep",
    "loadflow.engine.protocols.websocket.client:WEBSOCKET",
    _host,
    _faults,
    host_beside=_beside,
)
