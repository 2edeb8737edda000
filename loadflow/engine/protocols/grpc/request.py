"""A gRPC step, compiled, and the call it gives per hit.

The method is looked up once, and with it whether a payload fits. A step without placeholders has its messages encoded once.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.step_json import StepJson, StepValues
from loadflow.engine.protocols.grpc.interface import descriptors_of
from loadflow.engine.protocols.grpc.rpc import Rpc, described_rpc, stub_rpc
from loadflow.engine.protocols.grpc.target import DEFAULT_TARGET, DEFAULT_TIMEOUT_S, Security, security_of, service_and_method, target_of
from loadflow.engine.protocols.grpc.words import RPC_KINDS, key_trouble
from loadflow.engine.protocols.running.filling import filled, seconds
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.resolve.scope import Scope
from loadflow.engine.resolve.template import Compiler, known_text, text_of
from loadflow.engine.script.placeholders import has_placeholder

__all__ = ["GrpcCall", "GrpcRequest"]

PARTS = ("target", "payload", "metadata", "timeout", "verify", "cert", "server_name")
METADATA_TEXT = re.compile(r"[\x20-\x7e]*")  # ASCII-Value of PROTOCOL-HTTP2.md

Metadata = tuple[tuple[str, str | bytes], ...]


@dataclass(frozen=True, slots=True)
class GrpcRequest:
    """One call. `channels` None: the user's own channel. `first_name`: what the time to the first message is recorded as, or ""."""

    rpc: Rpc
    target: str
    messages: tuple[bytes, ...]
    metadata: Metadata
    timeout_s: float
    security: Security | None
    channels: int | None
    max_messages: int | None
    first_name: str


class GrpcCall:
    """A compiled step. `name` is None where it has placeholders that differ per hit; `fixed` is the request where none has.

    `written`: what makes a request, by its keys, as it stands in the step.
    """

    method = "GRPC"

    def __init__(self, config: StepJson, plan: Plan, compiler: Compiler) -> None:
        self._plan = plan
        self._config = config
        self.rpc = _rpc_of(config, plan, compiler)
        _check_kind(config, self.rpc)
        self.written = {key: config[key] for key in PARTS if config.get(key) is not None}
        self._name = compiler(config["name"]) if config.get("name") is not None else None
        default_name = f"{config['stub_path']}.{config['method']}" if config.get("stub_path") is not None else self.rpc.name
        self.name: str | None = default_name if self._name is None else text_of(self._name.value) if self._name.is_static else None
        self.place = known_text(config["target"], compiler) if config.get("target") is not None else plan.host or DEFAULT_TARGET
        self._refuse_misfit(config.get("payload"))
        if self.name is None and config.get("first_message"):
            self.written["name"] = config["name"]  # the hits of first messages have it in theirs
        self._parts = {key: compiler(value) for key, value in self.written.items()}
        self.fixed: GrpcRequest | None = None
        if all(part.is_static for part in self._parts.values()):
            # no placeholder anywhere, so what is wrong with it is wrong with every hit: raised before the load starts
            self.fixed = self.made_of({key: part.value for key, part in self._parts.items()})

    def render(self, scope: Scope) -> GrpcRequest:
        if self.fixed is not None:
            return self.fixed
        return self.made_of({key: filled(part, scope) for key, part in self._parts.items()})

    def render_name(self, scope: Scope) -> str:
        return self.name if self.name is not None else text_of(filled(self._name, scope))

    def sample(self, request: GrpcRequest) -> JsonObject:
        messages = [request.rpc.request_json(data) for data in request.messages]
        body = messages if request.rpc.client_streams else messages[0]
        return {
            "method": self.method,
            "url": f"grpc{'s' if request.security else ''}://{request.target}{request.rpc.path}",
            "headers": {key: base64.b64encode(value).decode() if isinstance(value, bytes) else value for key, value in request.metadata},
            "body": json.dumps(body, ensure_ascii=False, separators=(",", ":")),
        }

    def made_of(self, values: StepValues, later: Collection[str] = ()) -> GrpcRequest:
        """The request of these values, by the keys of `written`; those of `later` are filled in where it is sent. Raises HitFailure where
        they make none."""
        name = text_of(values.get("name", self.name or ""))
        return GrpcRequest(
            rpc=self.rpc,
            target=target_of(values.get("target"), self._plan),
            messages=() if "payload" in later else self._messages(values.get("payload")),
            metadata=_metadata(values.get("metadata")),
            timeout_s=seconds(values.get("timeout"), DEFAULT_TIMEOUT_S),
            security=security_of({**values, "tls": self._config.get("tls")}),
            channels=self._config.get("channels"),
            max_messages=self._config.get("max_messages"),
            first_name=f"{name} (first message)" if self._config.get("first_message") else "",
        )

    def _messages(self, payload: Any) -> tuple[bytes, ...]:
        return tuple(self.rpc.request_bytes(one) for one in self._each(payload))

    def _each(self, payload: Any) -> list[object]:
        """The JSON of each message."""
        if payload is None:
            return [{}]
        return payload if self.rpc.client_streams and isinstance(payload, list) else [payload]

    def _refuse_misfit(self, payload: Any) -> None:
        """Fields that the message does not have, also where others have placeholders: what is not known yet is left out."""
        if has_placeholder(payload) if isinstance(payload, str) else payload is None:
            return
        for one in self._each(_known_part(payload)):
            self.rpc.request_message(one)


def _rpc_of(config: StepJson, plan: Plan, compiler: Compiler) -> Rpc:
    if config.get("stub_path") is not None:
        return stub_rpc(config["stub_path"], config.get("request_path"), config["method"])
    descriptors = descriptors_of(config, plan, compiler)
    assert descriptors is not None
    return described_rpc(descriptors, *service_and_method(config))


def _check_kind(config: StepJson, rpc: Rpc) -> None:
    """What the script says of a call, against what the service says."""
    kind = (rpc.client_streams, rpc.server_streams)
    word = next(word for word, streams in RPC_KINDS.items() if streams == kind)
    if config.get("rpc") is not None and RPC_KINDS[config["rpc"]] != kind:
        raise HitFailure(Outcome.TEMPLATE, f"rpc is {config['rpc']!r}, and {rpc.name} is {word!r}; write that, or leave rpc out")
    for key in ("max_messages", "first_message"):
        if config.get(key) and not rpc.server_streams:
            raise HitFailure(Outcome.TEMPLATE, f"{key} has no meaning for {rpc.name}, which is {word!r}: one message comes back; remove it")


def _known_part(value: object) -> object:
    """`value` without what a hit fills in. As null a field counts as left out, and is looked up all the same."""
    if isinstance(value, dict):
        return {key: _known_part(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_known_part(one) for one in value if not (isinstance(one, str) and has_placeholder(one))]
    return None if isinstance(value, str) and has_placeholder(value) else value


def _metadata(written: object) -> Metadata:
    """Pairs as gRPC takes them; null gives none. Raises HitFailure for what HTTP/2 can't carry."""
    if written is None:
        return ()
    if not isinstance(written, Mapping | list):
        raise HitFailure(Outcome.TEMPLATE, "metadata is neither an object nor a list of pairs")
    try:
        items = [(text_of(pair[0]), pair[1]) for pair in (written.items() if isinstance(written, Mapping) else written)]
    except (TypeError, LookupError):
        raise HitFailure(Outcome.TEMPLATE, "metadata must contain only pairs of key and value") from None
    return tuple((key, _metadata_value(key, value)) for key, value in items if value is not None)


def _metadata_value(key: str, value: object) -> str | bytes:
    trouble = key_trouble(key)
    if trouble is not None:
        raise HitFailure(Outcome.TEMPLATE, f"metadata: the key {key[:50]!r} {trouble[0]}; {trouble[1]}")
    text = text_of(value)
    if key.endswith("-bin"):
        try:
            return base64.b64decode(text, validate=True)
        except ValueError:
            raise HitFailure(Outcome.TEMPLATE, f"metadata: {key[:50]!r} takes bytes, and its value is not Base64") from None
    if METADATA_TEXT.fullmatch(text) is None:
        raise HitFailure(Outcome.TEMPLATE, f"metadata: {key[:50]!r} holds a character outside of printable ASCII; name a key with -bin")
    return text
