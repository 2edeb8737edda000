"""An answer that the native core gives: its messages are text already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.protocols.running.json_body import read_json
from loadflow.engine.protocols.running.reply import ReplyParts, joined
from loadflow.engine.records.statuses import grpc_status, status_text

__all__ = ["SeenReply"]

OK = grpc_status(0)


class SeenReply(ReplyParts):
    """As `GrpcReply`; `text` is JSON, or, where no message came, what the server said to the status: `details`. The core counts bytes."""

    __slots__ = ("_metadata", "_text", "details", "received_bytes", "sent_bytes", "status")

    def __init__(self, status: int, details: str, metadata: Sequence[tuple[bytes, bytes]], text: str) -> None:
        self.status = status
        self.details = details
        self.sent_bytes = self.received_bytes = 0
        self._metadata = [(key.decode("latin-1"), value.decode("latin-1")) for key, value in metadata]
        self._text = text
        super().__init__()

    def text(self) -> str:
        return self._text

    def parsed(self) -> Any:
        """Raises ValueError where no message came."""
        if self.status != OK and self._text == self.details:
            raise ValueError("no message came")
        return read_json(self._text or "[]")  # of a stream, which may hold none

    def header_lines(self, name: str) -> list[str]:
        wanted = name.lower()
        return [value for key, value in self._metadata if key == wanted]

    def sample(self) -> JsonObject:
        body = "" if self.status != OK and self._text == self.details else self._text
        return {"status": status_text(self.status), "reason": self.details, "headers": joined(self._metadata), "body": body}
