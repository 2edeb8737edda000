"""A step of `websocket_user`, compiled, and what it asks for per hit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from loadflow.engine.base.json_path import MISSING, value_at
from loadflow.engine.base.json_value import JsonMapping, JsonObject
from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.step_json import StepJson, StepValues
from loadflow.engine.protocols.http.credentials import authorization_of
from loadflow.engine.protocols.http.request import FIELD_NAME, decoded, place_of, refuse_unsendable
from loadflow.engine.protocols.running.filling import PEER_PARTS, filled, hit_name, payload_text, peer_files, seconds
from loadflow.engine.protocols.running.json_body import read_json
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.protocols.running.tls_files import Tls
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.resolve.scope import Scope
from loadflow.engine.resolve.template import Compiler, known_text, text_of

__all__ = ["Awaited", "WebSocketRequest", "WebSocketStep", "WebSocketTarget", "key_at", "receives", "reply_paths", "target_of"]

DEFAULT_TIMEOUT_S = 5.0
HANDSHAKE_FIELDS = ("connection", "upgrade", "sec-websocket-")  # ours to write, RFC 6455 section 4.1
OPTIONS = ("headers", "subprotocols", "compression", *PEER_PARTS)
PARTS = ("request_url", "payload", "payload_base64", "timeout", "expect", "correlate", *OPTIONS)


@dataclass(frozen=True, slots=True)
class WebSocketTarget:
    """Whom to connect to, and how. `resource` is path and query, encoded.

    `has_url` and `has_options`: what of it its step says itself; without a URL it is the test's host.
    """

    url: str
    secure: bool
    host: str
    port: int
    resource: str
    headers: tuple[tuple[str, str], ...]
    subprotocols: tuple[str, ...]
    compression: bool
    tls: Tls
    has_url: bool
    has_options: bool

    @property
    def scheme(self) -> str:
        """That of the handshake, which is a request of HTTP (RFC 6455 section 4.1)."""
        return "https" if self.secure else "http"

    @property
    def target(self) -> str:
        return self.resource

    @property
    def cookies(self) -> str:
        """Those of the step's own header field."""
        return next((value for name, value in self.headers if name.lower() == "cookie"), "")


@dataclass(frozen=True, slots=True)
class Awaited:
    """The answer to a sent message: `key` is what both hold, in the sent one at `path`; `name` is what its hit is called."""

    key: str
    path: str
    timeout_s: float
    name: str


@dataclass(frozen=True, slots=True)
class WebSocketRequest:
    """`target` None: the connection that is open, or the last one anew, or the test's host."""

    method: str
    target: WebSocketTarget | None
    data: str | bytes
    expect: str
    timeout_s: float
    awaited: Awaited | None


class WebSocketStep:
    """A compiled step. `name` is None where it has placeholders that differ per hit; `fixed` is the request where none has.

    `written`: what makes a request, by its keys, as it stands in the step.
    """

    method = "WS"

    def __init__(self, config: StepJson, plan: Plan, compiler: Compiler) -> None:
        self._action: str = config["method"]
        self._binary = bool(config.get("binary"))
        self._base = plan.host
        self.written = {key: config[key] for key in PARTS if config.get(key) is not None}
        written = config.get("request_url")
        if written is None and plan.host is None and not any(step.get("request_url") for step in plan.steps):
            raise HitFailure(Outcome.TEMPLATE, "no step says where to connect to; set request_url or host")
        known = "" if written is None else known_text(written, compiler)
        self.place = known if "://" in known else f"{plan.host or ''}{known}"
        self.name, self.render_name = hit_name(config, compiler, known.split("?", 1)[0] or self._action)
        if self.name is None and "correlate" in self.written:
            self.written["name"] = config["name"]  # the hits of answers have it in theirs
        self._parts = {key: compiler(value) for key, value in self.written.items()}
        self.fixed = self._build(None) if all(part.is_static for part in self._parts.values()) else None

    def render(self, scope: Scope) -> WebSocketRequest:
        return self.fixed if self.fixed is not None else self._build(scope)

    def sample(self, request: WebSocketRequest) -> JsonObject:
        where = {} if request.target is None else {"url": request.target.url, "headers": dict(request.target.headers)}
        data = request.data if isinstance(request.data, str) else request.data.decode("utf-8", "backslashreplace")
        return {"method": request.method, **where, "body": data}

    def _build(self, scope: Scope | None) -> WebSocketRequest:
        return self.made_of({key: filled(part, scope) for key, part in self._parts.items()})

    def made_of(self, values: StepValues, later: Collection[str] = ()) -> WebSocketRequest:
        """The request of these values, by the keys of `written`; those of `later` are filled in where it is sent. Raises HitFailure where
        they make none."""
        try:
            data = _data(values, self._binary)
            timeout_s = seconds(values.get("timeout"), DEFAULT_TIMEOUT_S)
            awaited = None
            if values.get("correlate") is not None:
                name = text_of(values.get("name", self.name))
                known = None if "payload" in later else data
                awaited = _awaited(values["correlate"], known, timeout_s, f"{name} reply")
            return WebSocketRequest(self._action, self._target(values), data, text_of(values.get("expect", "")), timeout_s, awaited)
        except (TypeError, ValueError, LookupError, AttributeError) as error:  # a variable of the wrong kind; UnicodeError is one
            raise HitFailure(Outcome.TEMPLATE, f"the values of this hit make no message: {error}") from None

    def _target(self, values: StepValues) -> WebSocketTarget | None:
        if "request_url" not in values and (self._base is None or not any(key in values for key in OPTIONS)):
            return None
        return target_of(text_of(values.get("request_url", "")), self._base, values)


def reply_paths(plan: Plan) -> set[str]:
    """Where an answer says whom it answers; usually one place."""
    return {one.get("reply_path") or one["path"] for step in plan.steps if (one := step.get("correlate"))}


def receives(plan: Plan) -> bool:
    """Whether anything asks for messages."""
    return any("call" in step or step["method"] in ("recv", "sendrecv") for step in plan.steps)


def target_of(url: str, base: str | None, values: StepValues) -> WebSocketTarget:
    """Where `url` leads, relative to `base`. Raises HitFailure if it is not a WebSocket URL."""
    written = url
    if url[:5].lower() != "ws://" and url[:6].lower() != "wss://":
        if base is None or "://" in url.split("?", 1)[0]:
            raise HitFailure(Outcome.TEMPLATE, f"{url[:100]!r} is not a ws or wss URL; write one, or set `host`")
        url = f"{base.rstrip('/')}/{url.lstrip('/')}" if url else base
    secure = url[:3].lower() == "wss"
    # the rules of a URL are those of HTTP, which the handshake is (RFC 6455 section 3)
    _, host, port, resource = place_of("http" + url[2:], None, Outcome.TEMPLATE)
    return WebSocketTarget(
        url=url,
        secure=secure,
        host=host,
        port=port,
        resource=resource,
        headers=tuple(_headers(values.get("headers") or {}, authorization_of(None, "http" + url[2:]))),
        subprotocols=tuple(map(_subprotocol, values.get("subprotocols") or ())),
        compression=bool(values.get("compression")),
        tls=peer_files(values),
        has_url=bool(written),
        has_options=any(key in values for key in OPTIONS),
    )


def _subprotocol(value: object) -> str:
    name = text_of(value)
    if not FIELD_NAME.fullmatch(name):  # a token, as names of fields are: RFC 6455 section 4.1
        raise HitFailure(Outcome.TEMPLATE, f"{name[:100]!r} can't be the name of a subprotocol")
    return name


def key_at(message: str | bytes, path: str) -> str | None:
    """What correlates a message: the value at `path` of its JSON, as text; None where there is none."""
    try:
        found = value_at(read_json(message), path)
    except (ValueError, HitFailure):
        return None
    return None if found is MISSING or found is None else text_of(found)


def _data(values: Mapping[str, object], binary: bool) -> str | bytes:
    if "payload_base64" in values:
        return decoded(values["payload_base64"])
    text = payload_text(values.get("payload", ""))
    encoded = text.encode()  # also refuses what no text message may hold
    return encoded if binary else text


def _awaited(correlate: JsonMapping, data: str | bytes | None, timeout_s: float, default_name: str) -> Awaited:
    path = correlate["path"]
    key = "" if data is None else key_at(data, path)
    if key is None:
        raise HitFailure(Outcome.TEMPLATE, f"the payload has nothing at correlate path {path}, so no answer could be found")
    name = correlate.get("name") or default_name
    return Awaited(key, path, seconds(correlate.get("timeout"), timeout_s), text_of(name))


def _headers(written: Mapping[str, object], credentials: str) -> list[tuple[str, str]]:
    fields = [(name, text_of(value)) for name, value in written.items() if value is not None]
    names = {name.lower() for name, _ in fields}
    if credentials and "authorization" not in names:
        fields.append(("Authorization", credentials))
    if "user-agent" not in names:
        fields.append(("User-Agent", "loadflow"))
    for name, value in fields:
        if name.lower().startswith(HANDSHAKE_FIELDS):
            raise HitFailure(Outcome.TEMPLATE, f"the header {name!r} is the handshake's own; see subprotocols, compression")
        refuse_unsendable(name, value)
    return fields
