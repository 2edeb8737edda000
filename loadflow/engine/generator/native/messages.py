"""Steps of other protocols than HTTP, as the native core takes them.

A request that is the same for every hit is written down whole; of one of which only the payload and the expected text differ, the core
fills in these two; any other Python makes of its values, hit by hit.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from loadflow.engine.base.named import load_named
from loadflow.engine.generator.call_messages import Preparing
from loadflow.engine.generator.native.cut import cut_of
from loadflow.engine.generator.native.nodes import Nodes, is_static, static_value
from loadflow.engine.generator.native.tls_table import TlsTable
from loadflow.engine.plan.plan import Plan
from loadflow.engine.protocols.running.message_reply import MessageReply
from loadflow.engine.protocols.running.seam import HitFailure, Reply

__all__ = ["SPEECHES", "Got", "Speech", "made_message", "message_of", "message_with_trust", "preparing", "speeches_of"]

Got = tuple[int, bytes, Sequence[tuple[bytes, bytes]], bytes]  # status, reason, header fields, body


def _bare(status: int, reason: bytes, fields: Sequence[tuple[bytes, bytes]], body: bytes) -> Reply:
    return MessageReply(body, status=status)


@dataclass(frozen=True, slots=True)
class Speech:
    """What users of a protocol say to the core. `step` names the class of its prepared steps.

    These have what `seam.PreparedStep` says, and `fixed`, the request where every hit has the same; `written`, the values that make a
    request by their keys, as they stand in the step; and `made_of`, which gives the request of such values or raises HitFailure.

    `payload` and `expect`: the keys that the core fills in. `of_plan` is the core's own client, `of_request` a request. `reply_of` is an
    answer of the core as the protocol's users on Locust have it. `gather` names what `UserProtocol.gather` is, if there is one.
    """

    step: str
    payload: str
    expect: str
    of_plan: Callable[[Plan, TlsTable], Any]
    of_request: Callable[[Any, TlsTable], dict[str, Any]]
    reply_of: Callable[[int, bytes, Sequence[tuple[bytes, bytes]], bytes], Reply] = _bare
    gather: str = ""

    def prepare(self, config: Mapping[str, Any], plan: Plan, compiler: Callable[[Any], Any]) -> Any:
        return load_named(self.step)(config, plan, compiler)


def speeches_of(plan: Plan) -> list[str]:
    """The user types that the plan's users speak beside HTTP; the core knows them by their places."""
    return [name for name in plan.protocols if name in SPEECHES]


def preparing(user: str) -> Preparing:
    speech = SPEECHES[user]
    return speech.prepare, load_named(speech.gather) if speech.gather else None


def message_of(speech: Speech, prepared: Any, nodes: Nodes, tls: TlsTable) -> dict[str, Any]:
    if prepared.fixed is not None:
        return {"whole": {"request": speech.of_request(prepared.fixed, tls), "payload": None, "expect": None}}
    keys = {key: nodes.of(value) for key, value in prepared.written.items()}
    changing = {key: node for key, node in keys.items() if not is_static(node)}
    if changing.keys() <= {speech.payload, speech.expect}:
        try:
            base = prepared.made_of({key: static_value(node) for key, node in keys.items() if key not in changing}, changing.keys())
        except HitFailure:
            pass  # so it is of every hit; Python says why, hit by hit
        else:
            filled = {"payload": changing.get(speech.payload), "expect": changing.get(speech.expect)}
            return {"whole": {"request": speech.of_request(base, tls), **filled}}
    return {"python": list(keys.items())}


def made_message(speech: Speech, prepared: Any, values: Mapping[str, Any], tls: TlsTable) -> dict[str, Any]:
    """The request of these values. Raises HitFailure."""
    return message_with_trust(speech.of_request(prepared.made_of(values), tls), tls)


def message_with_trust(request: dict[str, Any], tls: TlsTable) -> dict[str, Any]:
    """A request, and the trust settings that its place names."""
    (body,) = request.values()
    place = body["place"] if "place" in body else (body["target"] or {}).get("place")
    return {"request": request, "tls": tls.to_json()[place["tls"]] if place is not None and place["https"] else None}


def _place(host: str, port: int, tls: Any, table: TlsTable) -> dict[str, Any]:
    """`tls`: `verify` and `cert`, or None for a connection without."""
    return {"https": tls is not None, "host": host, "port": port, "tls": 0 if tls is None else table.number(*tls)}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _socket(request: Any, tls: TlsTable) -> dict[str, Any]:
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


def _framing(framing: Any) -> dict[str, Any]:
    from loadflow.engine.protocols.socket.framing import Counted, Delimited

    if isinstance(framing, Counted):
        return {"counted": framing.length}
    if isinstance(framing, Delimited):
        return {"delimited": _text(framing.delimiter)}
    return {"prefixed": {"length_bytes": framing.length_bytes, "little": framing.byte_order == "little"}}


def _websocket_plan(plan: Plan, tls: TlsTable) -> dict[str, Any]:
    from loadflow.engine.protocols.websocket.request import receives, reply_paths, target_of

    target = target_of("", plan.host, {}) if plan.host is not None else None
    speech = {"reply_paths": [cut_of(path) for path in sorted(reply_paths(plan))], "keeps": receives(plan), "target": _target(target, tls)}
    return {"websocket": speech}


def _websocket(request: Any, tls: TlsTable) -> dict[str, Any]:
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


def _target(target: Any, tls: TlsTable) -> dict[str, Any] | None:
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
    "websocket_user": Speech("loadflow.engine.protocols.websocket.request:WebSocketStep", "payload", "expect", _websocket_plan, _websocket),
    "socket_user": Speech(
        "loadflow.engine.protocols.socket.request:SocketStep", "payload", "expect_substring", lambda plan, tls: "socket", _socket
    ),
}
