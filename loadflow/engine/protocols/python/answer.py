"""An answer as a function of Python sees it: the same of all protocols, and on both engines."""

from __future__ import annotations

from typing import Any

from loadflow.engine.protocols.python.headers import Headers
from loadflow.engine.records.statuses import grpc_code

__all__ = ["ReplyAnswer"]


class ReplyAnswer:
    """What follows from a reply of `seam.Reply`; `ok` is left to the others."""

    __slots__ = ()

    @property
    def reply(self) -> Any:
        raise NotImplementedError

    @property
    def ok(self) -> bool:
        raise NotImplementedError

    @property
    def status_code(self) -> int:
        status = int(self.reply.status)
        code = grpc_code(status)
        return status if code is None else code

    @property
    def text(self) -> str:
        return str(self.reply.text())

    @property
    def content(self) -> bytes:
        reply = self.reply
        return bytes(reply.body()) if hasattr(reply, "body") else str(reply.text()).encode()

    @property
    def headers(self) -> Headers:
        return Headers(self.reply)

    def json(self) -> Any:
        return self.reply.json()

    def raise_for_status(self) -> None:
        if not self.ok:
            raise AssertionError(f"status {self.status_code}")
