"""A bare message as an answer: text or bytes, without status or header fields."""

from __future__ import annotations

from typing import Any

from loadflow.engine.protocols.running.json_body import read_json

__all__ = ["MessageReply"]


class MessageReply:
    """`data` None: nothing was asked for. Sizes are those of the messages, without what a protocol puts around them."""

    __slots__ = ("_json", "data", "received_bytes", "sent_bytes", "status")

    def __init__(self, data: str | bytes | None = None, *, sent_bytes: int = 0, received_bytes: int = 0, status: int = 0) -> None:
        self.data = data
        self.sent_bytes = sent_bytes
        self.received_bytes = received_bytes
        self.status = status
        self._json: Any = None

    def text(self) -> str:
        """Bytes that are no UTF-8 are replaced, as LoadDensity has it."""
        return self.data if isinstance(self.data, str) else (self.data or b"").decode("utf-8", "replace")

    def json(self) -> Any:
        if self._json is None:
            self._json = read_json(self.data or "")
        return self._json

    def header(self, name: str) -> str | None:
        return None

    def header_lines(self, name: str) -> list[str]:
        return []

    def sample(self) -> dict[str, Any]:
        if self.data is None:
            return {}
        return {"body": self.data if isinstance(self.data, str) else self.data.decode("utf-8", "backslashreplace")}
