"""Steps of other protocols than HTTP, as the native core takes them.

A request that is the same for every hit is written down whole; of one of which only the payload, the expected text and the metadata
differ, the core fills in these; any other Python makes of its values, hit by hit.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.base.named import load_named
from loadflow.engine.generator.call_messages import Preparing
from loadflow.engine.generator.native.cut import cut_of
from loadflow.engine.generator.native.nodes import Nodes, is_static, static_value
from loadflow.engine.generator.native.tls_table import TlsTable
from loadflow.engine.plan.plan import Plan
from loadflow.engine.plan.step_json import StepJson, StepValues
from loadflow.engine.protocols.mqtt.reply import reply_of
from loadflow.engine.protocols.running.message_reply import MessageReply
from loadflow.engine.protocols.running.seam import HitFailure, Reply

if TYPE_CHECKING:
    from loadflow.engine.protocols.grpc.request import GrpcCall
    from loadflow.engine.protocols.mqtt.request import Message, MqttRequest
    from loadflow.engine.protocols.running.tls_files import Tls
    from loadflow.engine.protocols.socket.request import SocketRequest
    from loadflow.engine.protocols.websocket.request import WebSocketRequest, WebSocketTarget

__all__ = ["SPEECHES", "Got", "Speech", "made_message", "message_of", "message_with_trust", "preparing", "request_of", "speeches_of"]

Got = tuple[int, bytes, Sequence[tuple[bytes, bytes]], bytes]  # status, reason, header fields, body


def _bare(status: int, reason: bytes, fields: Sequence[tuple[bytes, bytes]], body: bytes) -> Reply:
    return MessageReply(body, status=status)


_PROCESS = os.urandom(4).hex()  # with its number: of this process and no other


@dataclass(frozen=True, slots=True)
class Speech:
    """What users of a protocol say to the core. `step` names the class of its prepared steps.

    These have what `seam.PreparedStep` says, and `fixed`, the request where every hit has the same; `written`, the values that make a
    request by their keys, as they stand in the step; and `made_of`, which gives the request of such values or raises HitFailure.

    `payload`, `expect` and `metadata`: the keys that the core fills in, "" where there is none. `of_plan` is the core's own client,
    `of_request` a request. `alike`: what the requests of a prepared step have in common and is not written down for each hit; then
    Python makes those, too, whose values are of an unusual kind. `reply_of` is an answer of the core as the protocol's users on Locust
    have it. `gather` names what `UserProtocol.gather` is, if there is one.
    """

    step: str
    payload: str
    expect: str
    of_plan: Callable[[Plan, TlsTable], object]
    of_request: Callable[[Any, TlsTable], JsonObject]
    reply_of: Callable[[int, bytes, Sequence[tuple[bytes, bytes]], bytes], Reply] = _bare
    gather: str = ""
    metadata: str = ""
    alike: Callable[[Any], JsonObject] | None = None

    def prepare(self, config: StepJson, plan: Plan, compiler: Callable[[Any], Any]) -> Any:
        return load_named(self.step)(config, plan, compiler)


def speeches_of(plan: Plan) -> list[str]:
    """The user types that the plan's users speak beside HTTP; the core knows them by their places."""
    return [name for name in plan.protocols if name in SPEECHES]


def preparing(user: str) -> Preparing:
    speech = SPEECHES[user]
    return speech.prepare, load_named(speech.gather) if speech.gather else None


def message_of(speech: Speech, prepared: Any, nodes: Nodes, tls: TlsTable) -> dict[str, object]:
    if prepared.fixed is not None:
        return {"whole": {"request": request_of(speech, prepared, prepared.fixed, tls), "payload": None, "expect": None}}
    keys = {key: nodes.of(value) for key, value in prepared.written.items()}
    changing = {key: node for key, node in keys.items() if not is_static(node)}
    if changing.keys() <= {speech.payload, speech.expect, speech.metadata}:
        same = {key: node for key, node in keys.items() if key not in changing}
        try:
            base = prepared.made_of({key: static_value(node) for key, node in same.items()}, changing.keys())
        except HitFailure:
            pass  # so it is of every hit; Python says why, hit by hit
        else:
            filled = {key: changing.get(getattr(speech, key)) for key in ("payload", "expect", "metadata")}
            rest = list(same.items()) if speech.alike is not None else None
            return {"whole": {"request": request_of(speech, prepared, base, tls), **filled, "values": rest}}
    if speech.alike is not None:
        return {"alike": {"like": speech.alike(prepared), "values": list(keys.items())}}
    return {"python": list(keys.items())}


def request_of(speech: Speech, prepared: object, request: Any, tls: TlsTable) -> dict[str, object]:
    """The first one of a step, with what those that Python makes later leave out."""
    made = speech.of_request(request, tls)
    if speech.alike is None:
        return made
    (common,) = speech.alike(prepared).values()
    return {kind: {**common, **{key: value for key, value in body.items() if value is not None}} for kind, body in made.items()}


def made_message(speech: Speech, prepared: Any, values: StepValues, tls: TlsTable) -> JsonObject:
    """The request of these values. Raises HitFailure."""
    return message_with_trust(speech.of_request(prepared.made_of(values), tls), tls)


def message_with_trust(request: JsonObject, tls: TlsTable) -> dict[str, object]:
    """A request, and the trust settings that its place names."""
    (body,) = request.values()
    place = body["place"] if "place" in body else (body["target"] or {}).get("place")
    return {"request": request, "tls": tls.to_json()[place["tls"]] if place is not None and place["https"] else None}


def _place(host: str, port: int, tls: Tls | None, table: TlsTable) -> dict[str, object]:
    """`tls`: `verify` and `cert`, or None for a connection without."""
    return {"https": tls is not None, "host": host, "port": port, "tls": 0 if tls is None else table.number(*tls)}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _socket(request: SocketRequest, tls: TlsTable) -> JsonObject:
    """Of a `SocketRequest`."""
    return {
        "socket": {
            "udp": request.udp,
            "place": _place(request.host, request.port, request.tls, tls),
            "data": _text(request.data),
            "framing": None if request.framing is None else _framing(request.framing),
            "expected": request.expected.decode(),
            "timeout_s": request.timeout_s,
            "keep": request.keep,
        }
    }


def _mqtt_plan(plan: Plan, tls: TlsTable) -> dict[str, object]:
    from loadflow.engine.protocols.mqtt.request import receives

    return {"mqtt": {"keeps": receives(plan), "process": f"{os.getpid():x}-{_PROCESS}"}}


def _mqtt(request: MqttRequest, tls: TlsTable) -> dict[str, object]:
    """Of an `MqttRequest`."""
    from loadflow.engine.protocols.mqtt.request import PORT, TLS_PORT

    broker, link, tracked = request.broker, request.link, request.tracked
    trust = link.trust if link is not None else None
    # where nothing is said of the connection, and nothing was, the broker's scheme says whether there is TLS
    peer = (trust.verify, trust.cert) if trust is not None else (True, None) if link is None and broker.tls else None
    port = broker.port or (PORT if peer is None else TLS_PORT)
    host = f"[{broker.host}]" if ":" in broker.host else broker.host
    written = f"{'mqtts://' if broker.tls else ''}{host}:{broker.port}"
    terms = None
    if link is not None:
        terms = {key: value for key, value in asdict(link).items() if key not in ("trust", "will")}
        terms["will"] = _mqtt_message(link.will)
    delivery = None
    if tracked is not None:
        rule = {key: value for key, value in asdict(tracked).items() if key != "token"}
        delivery = {"rule": {**rule, "cut": cut_of(tracked.path) if tracked.path else []}, "token": tracked.token}
    return {
        "mqtt": {
            "method": request.method,
            "broker": written,
            "place": _place(broker.host, port, peer, tls),
            "terms": terms,
            "timeout_s": request.timeout_s,
            "topics": list(request.topics),
            "message": _mqtt_message(request.message),
            "tracked": delivery,
            "qos": request.qos,
            "properties": request.properties,
            "no_local": request.no_local,
            "retain_as_published": request.retain_as_published,
            "retain_handling": request.retain_handling,
            "expect": request.expect,
            "abrupt": request.abrupt,
        }
    }


def _mqtt_message(message: Message | None) -> dict[str, object] | None:
    if message is None:
        return None
    return {**{key: getattr(message, key) for key in ("topic", "qos", "retain", "properties")}, "payload": _text(message.payload)}


def _framing(framing: Any) -> dict[str, object]:
    from loadflow.engine.protocols.socket.framing import Counted, Delimited

    if isinstance(framing, Counted):
        return {"counted": framing.length}
    if isinstance(framing, Delimited):
        return {"delimited": _text(framing.delimiter)}
    return {"prefixed": {"length_bytes": framing.length_bytes, "little": framing.byte_order == "little"}}


def _grpc(request: Any, tls: TlsTable) -> JsonObject:
    """Of a `GrpcRequest`, without its method."""
    security = request.security
    host, port = _host_and_port(request.target)
    number = 0
    if security is not None:
        verify = security.verify or str(_grpc_authorities())
        number = tls.number(verify, None if security.cert is None else (security.cert, security.key), http2=True)
    named = None if security is None else security.server_name
    return {
        "grpc": {
            "rpc": None,
            "place": {"https": security is not None, "host": host, "port": port, "tls": number, "sni": named},
            "target": request.target,
            # gRPC's library asks a server for the name that its certificate must have
            "authority": named or request.target,
            "messages": [_text(message) for message in request.messages],
            "metadata": [(key, _text(value) if isinstance(value, bytes) else value) for key, value in request.metadata],
            "timeout_s": request.timeout_s,
            "channels": request.channels,
            "max_messages": request.max_messages,
            "first_name": request.first_name,
        }
    }


@lru_cache(maxsize=1)
def _grpc_authorities() -> Path:
    """The CAs that grpcio brings, which its users trust; grpcio itself is not imported."""
    spec = find_spec("grpc")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "_cython" / "_credentials" / "roots.pem"


def _host_and_port(target: str) -> tuple[str, int]:
    host, _, port = target.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _grpc_alike(prepared: GrpcCall) -> dict[str, object]:
    """A request of nothing but the method, its messages and all that these may hold."""
    from loadflow.engine.protocols.grpc.shape import shape_of

    place = {"https": False, "host": "", "port": 0, "tls": 0, "sni": None}
    nothing = {"place": place, "target": "", "authority": "", "messages": [], "metadata": [], "timeout_s": 0, "max_messages": None}
    return {"grpc": {**nothing, "first_name": "", "rpc": shape_of(prepared.rpc)}}


def _grpc_reply(status: int, reason: bytes, fields: Sequence[tuple[bytes, bytes]], body: bytes) -> Reply:
    from loadflow.engine.protocols.grpc.seen import SeenReply

    return SeenReply(status, reason.decode("utf-8", "replace"), fields, body.decode("utf-8", "replace"))


def _websocket_plan(plan: Plan, tls: TlsTable) -> dict[str, object]:
    from loadflow.engine.protocols.websocket.request import receives, reply_paths, target_of

    target = target_of("", plan.host, {}) if plan.host is not None else None
    speech = {"reply_paths": [cut_of(path) for path in sorted(reply_paths(plan))], "keeps": receives(plan), "target": _target(target, tls)}
    return {"websocket": speech}


def _websocket(request: WebSocketRequest, tls: TlsTable) -> dict[str, object]:
    """Of a `WebSocketRequest`."""
    awaited = request.awaited
    return {
        "websocket": {
            "method": request.method,
            "target": _target(request.target, tls),
            "data": _text(request.data.encode() if isinstance(request.data, str) else request.data),
            "is_text": isinstance(request.data, str),
            "expect": request.expect,
            "timeout_s": request.timeout_s,
            "awaited": None if awaited is None else {**asdict(awaited), "cut": cut_of(awaited.path)},
        }
    }


def _target(target: WebSocketTarget | None, tls: TlsTable) -> dict[str, object] | None:
    """Of a `WebSocketTarget`."""
    if target is None:
        return None
    return {
        "url": target.url,
        "place": _place(target.host, target.port, target.tls if target.secure else None, tls),
        "resource": target.resource,
        "headers": target.headers,
        "subprotocols": target.subprotocols,
        "compression": target.compression,
        "has_url": target.has_url,
        "has_options": target.has_options,
    }


SPEECHES: Mapping[str, Speech] = {
    "grpc_user": Speech(
        "loadflow.engine.protocols.grpc.request:GrpcCall",
        "payload",
        "",
        lambda plan, tls: "grpc",
        _grpc,
        metadata="metadata",
        alike=_grpc_alike,
        reply_of=_grpc_reply,
        gather="loadflow.engine.protocols.grpc.interface:gather",
    ),
    "mqtt_user": Speech("loadflow.engine.protocols.mqtt.request:MqttStep", "payload", "expect", _mqtt_plan, _mqtt, reply_of),
    "websocket_user": Speech("loadflow.engine.protocols.websocket.request:WebSocketStep", "payload", "expect", _websocket_plan, _websocket),
    "socket_user": Speech(
        "loadflow.engine.protocols.socket.request:SocketStep", "payload", "expect_substring", lambda plan, tls: "socket", _socket
    ),
}
