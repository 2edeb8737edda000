"""What came back of a gRPC call, and the table that says which failure a status is."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.protocols.grpc.rpc import Rpc
from loadflow.engine.protocols.running.reply import ReplyParts, joined
from loadflow.engine.protocols.running.seam import HitFailure
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.statuses import grpc_status, status_text

__all__ = ["GrpcReply", "grpc_failure", "outcome_of_status"]

MOST_VALUES = 100_000  # of one answer that become JSON: each takes protobuf's Python some microseconds

Pairs = Sequence[tuple[str, str | bytes]]

# A status, and words in its details: first match wins. Only its words distinguish a client's own status from a server's, which are
# those of gRPC's core (1.85); a status with other words is an answer. The end of the load is not a status: see the step loop.
OUTCOMES: tuple[tuple[str, str, Outcome], ...] = (
    ("DEADLINE_EXCEEDED", "", Outcome.TIMEOUT),
    ("RESOURCE_EXHAUSTED", "message larger than max", Outcome.TOO_LARGE),
    ("RESOURCE_EXHAUSTED", "metadata size exceeds", Outcome.PROTOCOL),
    ("", "failed parsing http/2", Outcome.PROTOCOL),
    ("", "overflows local window", Outcome.PROTOCOL),
    ("UNAVAILABLE", "errors resolving", Outcome.DNS),
    ("UNAVAILABLE", "dns resolution failed", Outcome.DNS),
    ("UNAVAILABLE", "handshake failed", Outcome.TLS),
    ("UNAVAILABLE", "handshake read failed", Outcome.TLS),
    ("UNAVAILABLE", "unwrap failed", Outcome.TLS),
    ("UNAVAILABLE", "hostname verification", Outcome.TLS),
    ("UNAVAILABLE", "failed to connect", Outcome.CONNECT),
    ("UNAVAILABLE", "all backends failing", Outcome.CONNECT),
    ("UNAVAILABLE", "empty address list", Outcome.CONNECT),
    ("UNAVAILABLE", "goaway", Outcome.CLOSED),
    ("UNAVAILABLE", "socket closed", Outcome.CLOSED),
    ("UNAVAILABLE", "stream removed", Outcome.CLOSED),
    ("UNAVAILABLE", "transport closed", Outcome.CLOSED),
    ("UNAVAILABLE", "endpoint closing", Outcome.CLOSED),
    ("UNAVAILABLE", "connection reset", Outcome.CLOSED),
    ("UNAVAILABLE", "broken pipe", Outcome.CLOSED),
    ("UNAVAILABLE", "recvmsg", Outcome.CLOSED),
    ("UNAVAILABLE", "sendmsg", Outcome.CLOSED),
    ("UNAVAILABLE", "keepalive", Outcome.CLOSED),
    ("UNAVAILABLE", "cancelling all calls", Outcome.CLOSED),
    ("", "received http2 header with status", Outcome.PROTOCOL),
    ("", "rst_stream", Outcome.CLOSED),
)


def outcome_of_status(status: str, details: str) -> Outcome:
    """Which kind of failure it is.

    >>> outcome_of_status("UNAVAILABLE", "failed to connect to all addresses"), outcome_of_status("UNAVAILABLE", "overloaded")
    (<Outcome.CONNECT: 5>, <Outcome.STATUS: 1>)
    """
    said = details.lower()
    return next((outcome for name, words, outcome in OUTCOMES if name in ("", status) and words in said), Outcome.STATUS)


class GrpcReply(ReplyParts):
    """`messages` are protobuf's; they are turned into JSON when an assertion or an extract looks at them. Sizes are those of messages."""

    __slots__ = ("_metadata", "_rpc", "details", "messages", "received_bytes", "sent_bytes", "status")

    def __init__(
        self,
        code: int,
        details: str,
        rpc: Rpc,
        messages: list[Message],
        metadata: Pairs,
        *,
        sent_bytes: int,
        received_bytes: int,
    ) -> None:
        self.status = grpc_status(code)
        self.details = details
        self.messages = messages
        self.sent_bytes = sent_bytes
        self.received_bytes = received_bytes
        self._rpc = rpc
        self._metadata = metadata
        super().__init__()

    @property
    def status_name(self) -> str:
        return status_text(self.status)

    def text(self) -> str:
        """The messages as JSON; without any, what the server says to its status."""
        if not self.messages:
            return self.details
        return json.dumps(self.json(), ensure_ascii=False, separators=(",", ":"))

    def parsed(self) -> Any:
        """The message, or the list of them where the server streams.

        Raises ValueError where no message came, HitFailure where they hold too many values, or such as JSON can't say.
        """
        if holds_more(self.messages, MOST_VALUES):
            raise HitFailure(Outcome.TOO_LARGE, f"the answer holds more than {MOST_VALUES:,} values, too many to be looked at")
        try:
            found = [self._rpc.to_json(message) for message in self.messages]
        except (json_format.Error, DecodeError, TypeError, ValueError):  # a time out of range, an Any of a type that nobody knows
            raise HitFailure(Outcome.PROTOCOL, "the answer holds what JSON can't say") from None
        if not self._rpc.server_streams and not found:
            raise ValueError("no message came")
        return found if self._rpc.server_streams else found[0]

    def header_lines(self, name: str) -> list[str]:
        """Values in the metadata before or behind the messages; bytes as Base64."""
        wanted = name.lower()
        return [_text(value) for key, value in self._metadata if key == wanted]

    def sample(self) -> JsonObject:
        headers = joined((key, _text(value)) for key, value in self._metadata)
        try:
            body = self.text() if self.messages else ""
        except HitFailure as failure:
            body = f"({failure})"
        return {"status": self.status_name, "reason": self.details, "headers": headers, "body": body}


def holds_more(messages: Sequence[Message], most: int) -> bool:
    """Whether messages of protobuf hold more values than that, those within others counted too."""
    waiting: list[Any] = list(messages)
    found = 0
    while waiting and found <= most:
        for field, value in waiting.pop().ListFields():
            if isinstance(value, Message):  # some of Google's own have a length too
                waiting.append(value)
            if isinstance(value, str | bytes | Message) or not hasattr(value, "__len__"):
                found += 1
                continue
            found += len(value)
            if found > most:
                break
            if isinstance(value, Mapping):
                waiting += [one for one in value.values() if isinstance(one, Message)]
            elif field.message_type is not None:
                waiting += value
    return found > most


def _text(value: str | bytes) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def grpc_failure(reply: GrpcReply) -> tuple[Outcome, str] | None:
    """Anything but OK fails, unless the step has a status assertion of its own."""
    if reply.status == grpc_status(0):
        return None
    outcome = outcome_of_status(reply.status_name, reply.details)
    return outcome, f"{reply.status_name}: {reply.details}".rstrip(": ")
