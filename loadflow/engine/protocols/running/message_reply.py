"""A bare message as an answer: text or bytes, without status or header fields."""

from __future__ import annotations

from loadflow.engine.base.json_value import JsonObject
from loadflow.engine.protocols.running.json_body import read_json
from loadflow.engine.protocols.running.reply import ReplyParts

__all__ = ["MessageReply"]


class MessageReply(ReplyParts):
    """`data` None: nothing was asked for. Sizes are those of the messages, without what a protocol puts around them."""

    __slots__ = ("data", "received_bytes", "sent_bytes", "status")

    def __init__(self, data: str | bytes | None = None, *, sent_bytes: int = 0, received_bytes: int = 0, status: int = 0) -> None:
        self.data = data
        self.sent_bytes = sent_bytes
        self.received_bytes = received_bytes
        self.status = status
        super().__init__()

    def text(self) -> str:
        """Bytes that are no UTF-8 are replaced, as LoadDensity has it."""
        return self.data if isinstance(self.data, str) else (self.data or b"").decode("utf-8", "replace")

    def body(self) -> bytes:
        return self.data.encode() if isinstance(self.data, str) else self.data or b""

    def parsed(self) -> object:
        return read_json(self.data or "")

    def sample(self) -> JsonObject:
        if self.data is None:
            return {}
        return {"body": self.data if isinstance(self.data, str) else self.data.decode("utf-8", "backslashreplace")}
