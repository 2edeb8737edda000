"""What came back of a gRPC call, and the table that says which failure a status is."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from loadflow.engine.load.grpc_rpc import Rpc
from loadflow.engine.records.outcome import Outcome
from loadflow.engine.records.statuses import grpc_status, status_text

__all__ = ["GrpcReply", "grpc_failure", "outcome_of_status"]

Pairs = Sequence[tuple[str, str | bytes]]

# Status, words in its details (any: ""), who says it: first match wins. What the client says itself is told by the kind of its
# trouble, as for every protocol; what a server says is its answer, whatever the status. The words are those of gRPC's core.
LOCAL: tuple[tuple[str, str, Outcome], ...] = (
    ("UNAVAILABLE", "errors resolving", Outcome.DNS),
    ("UNAVAILABLE", "DNS resolution failed", Outcome.DNS),
    ("UNAVAILABLE", "handshake", Outcome.TLS),
    ("UNAVAILABLE", "SSL", Outcome.TLS),
    ("UNAVAILABLE", "certificate", Outcome.TLS),
    ("UNAVAILABLE", "GOAWAY", Outcome.CLOSED),
    ("UNAVAILABLE", "Socket closed", Outcome.CLOSED),
    ("UNAVAILABLE", "recvmsg", Outcome.CLOSED),
    ("UNAVAILABLE", "sendmsg", Outcome.CLOSED),
    ("UNAVAILABLE", "", Outcome.CONNECT),
    ("DEADLINE_EXCEEDED", "", Outcome.TIMEOUT),
    ("RESOURCE_EXHAUSTED", "larger than max", Outcome.TOO_LARGE),
    ("INTERNAL", "", Outcome.PROTOCOL),
    ("UNKNOWN", "", Outcome.PROTOCOL),
)


def outcome_of_status(status: str, details: str, *, by_peer: bool) -> Outcome:
    """`by_peer`: the server sent this status; else the client came to it by itself.

    >>> outcome_of_status("UNAVAILABLE", "failed to connect to all addresses", by_peer=False).name
    'CONNECT'
    >>> outcome_of_status("UNAVAILABLE", "overloaded", by_peer=True).name
    'STATUS'
    """
    if by_peer:
        # a server that keeps deadlines itself may be quicker than the client
        return Outcome.TIMEOUT if status == "DEADLINE_EXCEEDED" else Outcome.STATUS
    return next((outcome for name, words, outcome in LOCAL if name == status and words.lower() in details.lower()), Outcome.STATUS)


class GrpcReply:
    """`messages` are protobuf's; they are turned into JSON when an assertion or an extract looks at them. Sizes are those of messages."""

    __slots__ = ("_json", "_metadata", "_rpc", "by_peer", "details", "messages", "received_bytes", "sent_bytes", "status")

    def __init__(
        self,
        code: int,
        details: str,
        rpc: Rpc,
        messages: list[Any],
        metadata: Pairs,
        *,
        by_peer: bool,
        sent_bytes: int,
        received_bytes: int,
    ) -> None:
        self.status = grpc_status(code)
        self.details = details
        self.messages = messages
        self.by_peer = by_peer
        self.sent_bytes = sent_bytes
        self.received_bytes = received_bytes
        self._rpc = rpc
        self._metadata = metadata
        self._json: Any = None

    @property
    def status_name(self) -> str:
        return status_text(self.status)

    def text(self) -> str:
        """The messages as JSON; without any, what the server says to its status."""
        if not self.messages:
            return self.details
        return json.dumps(self.json(), ensure_ascii=False, separators=(",", ":"))

    def json(self) -> Any:
        """The message, or the list of them where the server streams. Raises ValueError where no message came."""
        if self._json is None:
            found = [self._rpc.to_json(message) for message in self.messages]
            if not self._rpc.server_streams and not found:
                raise ValueError("no message came")
            self._json = found if self._rpc.server_streams else found[0]
        return self._json

    def header(self, name: str) -> str | None:
        """The value in the metadata before or behind the messages, repeated ones joined by a comma; bytes as Base64."""
        found = self.header_lines(name)
        return ", ".join(found) if found else None

    def header_lines(self, name: str) -> list[str]:
        wanted = name.lower()
        return [_text(value) for key, value in self._metadata if key == wanted]

    def sample(self) -> dict[str, Any]:
        headers: dict[str, str] = {}
        for key, value in self._metadata:
            headers[key] = f"{headers[key]}, {_text(value)}" if key in headers else _text(value)
        return {"status": self.status_name, "reason": self.details, "headers": headers, "body": self.text() if self.messages else ""}


def _text(value: str | bytes) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def grpc_failure(reply: GrpcReply) -> tuple[Outcome, str] | None:
    """Anything but OK fails, unless the step has a status assertion of its own."""
    if reply.status == grpc_status(0):
        return None
    outcome = outcome_of_status(reply.status_name, reply.details, by_peer=reply.by_peer)
    return outcome, f"{reply.status_name}: {reply.details}".rstrip(": ")
